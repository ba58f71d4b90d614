"""Makes the folder that `photographs_are_changed_as_pillow_and_torchvision_change_them` (homeostat-data) reads: what Pillow and
torchvision's v2 transforms make of photographs. They do not belong to the project, so the folder is not committed.

    python -m venv venv && venv/bin/pip install pillow==13.0.0 torchvision==0.29.2
    venv/bin/python benches/photograph_parity.py PHOTOGRAPHS OUT [COUNT]
    HOMEOSTAT_PHOTOGRAPHS=OUT cargo test --workspace photographs

`cargo xtask parity` does all three."""

import pathlib
import sys

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

photographs, out = map(pathlib.Path, sys.argv[1:3])
count = int(sys.argv[3]) if len(sys.argv) > 3 else 20
bilinear = InterpolationMode.BILINEAR
filters = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}


def degrees(slope):
    return float(torch.atan(torch.tensor(slope, dtype=torch.float64)).rad2deg())


def results(picture):
    """The same numbers as in `crates/homeostat-data/tests/fixtures/torchvision_v2.py`."""

    def affine(translate=(0, 0), shear=(0.0, 0.0), center=None):
        return F.affine(picture, 0.0, list(translate), 1.0, list(shear), bilinear, [9.0], center)

    # Pillow's hue has steps of 1/255 and of the HSV levels; the tensor form computes in floats.
    tensor = v2.PILToTensor()(picture)
    yield "source", picture
    yield "shear-x", affine(shear=(degrees(0.3), 0.0), center=[0, 0])
    yield "shear-y", affine(shear=(0.0, degrees(-0.4)), center=[0, 0])
    yield "translate-x", affine(translate=(7, 0))
    yield "translate-y", affine(translate=(0, -5))
    yield "rotate", F.rotate(picture, 25.0, bilinear, fill=[9.0])
    for name, change in [
        ("brightness", F.adjust_brightness), ("contrast", F.adjust_contrast), ("saturation", F.adjust_saturation),
        ("sharpness", F.adjust_sharpness),
    ]:
        for factor in {"saturation": (0.3, 1.8), "sharpness": (0.2, 1.9)}.get(name, (0.4, 1.7)):
            yield f"{name}-{factor}", change(picture, factor)
    for turn in (0.2, -0.35):
        yield f"hue-{turn}", v2.ToPILImage()(F.adjust_hue(tensor, turn))
    for sigma, size in ((0.7, 7), (2.5, 17)):
        yield f"blur-{sigma}", v2.ToPILImage()(F.gaussian_blur(tensor, [size, size], [sigma, sigma]))
    yield "grayscale", F.rgb_to_grayscale(picture, num_output_channels=3)
    yield "autocontrast", F.autocontrast(picture)
    yield "equalize", F.equalize(picture)
    for name, kind in filters.items():
        for height, width in [(160, 160), (32, 48), (300, 260)]:
            yield f"{name}-{height}x{width}", picture.resize((width, height), kind)


files = sorted(photographs.rglob("*.jpg"))
for file in files[:: max(1, len(files) // count)][:count]:
    folder = out / file.stem
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results(Image.open(file).convert("RGB")):
        result.save(folder / f"{name}.png")
