"""Times a training step of a network of torchvision, timm, or plain PyTorch: the peers' side of `cargo xtask bench peers --works zoo`.

python train_zoo.py --system torch --network resnet50 --batch 8 --size 224 [--threads 2] [--seconds 8]

Prints one JSON line, as `peer train-zoo` does: five steps to warm up, then steps until the time is over, at least ten.
"""

import argparse
import json
import os
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--system", choices=["torch"], default="torch")
parser.add_argument("--network", required=True)
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--size", type=int, required=True)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=8)
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import timm
import torch
import torchvision
from torch.nn import functional as F

from turn import turn

# What neither torchvision nor timm has is written down beside the tests.
sys.path.append(str(Path(__file__).resolve().parents[1] / "crates/homeostat-models/tests/fixtures"))
from originals import CifarResNet, LeNet5, WideResNet

torch.set_num_threads(options.threads)

# Depth and widening.
WIDE = {"wide_resnet16_8": (16, 8), "preact_resnet112": (112, 1)}


def network(name):
    """A network, and its classes."""
    if name == "lenet5":
        return LeNet5(options.size, 10, channels=1), 10
    if name.startswith("cifar_resnet"):
        return CifarResNet(int(name.removeprefix("cifar_resnet")), 16, 10), 10
    if name in WIDE:
        return WideResNet(*WIDE[name], 10), 10
    if name == "vit_tiny_patch4_32":
        vit = timm.models.vision_transformer.VisionTransformer
        return vit(img_size=32, patch_size=4, embed_dim=192, depth=12, num_heads=3, num_classes=10), 10
    if name in torchvision.models.list_models():
        extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(name, **extra), 1000
    return timm.create_model(name), 1000


torch.manual_seed(0)
model, classes = network(options.network)
model.train()
x = torch.randn(options.batch, 1 if options.network == "lenet5" else 3, options.size, options.size)
y = torch.arange(options.batch) % classes
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
# The weight of further heads in the loss: Szegedy et al. 2015 and 2016.
further = 0.3 if options.network == "googlenet" else 0.4


def step():
    scores = model(x)
    if isinstance(scores, tuple):
        scores, *heads = scores
        loss = F.cross_entropy(scores, y) + sum(further * F.cross_entropy(head, y) for head in heads)
    else:
        loss = F.cross_entropy(scores, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


print(json.dumps({
    "system": "torch",
    "version": torch.__version__,
    "network": options.network,
    "parameters": sum(parameter.numel() for parameter in model.parameters()),
    "batch": options.batch,
    "size": options.size,
    "threads": options.threads,
    **turn(step, options.seconds),
}))
