"""Times a training step of a network of torchvision, timm, or plain PyTorch: the peers' side of `cargo xtask bench peers --works zoo`.

python train_zoo.py --system torch --network resnet50 --batch 8 --size 224 [--threads 2] [--seconds 8]

Prints one JSON line, as `peer train-zoo` does: five steps to warm up, then steps until the time is over, at least ten.
"""

import argparse
import json
import os

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
from torch import nn
from torch.nn import functional as F

from turn import turn

torch.set_num_threads(options.threads)


class Block(nn.Module):
    """A block of He et al.'s networks for CIFAR; where it halves, the shortcut takes every second pixel and adds channels of zeros."""

    def __init__(self, before, after):
        super().__init__()
        self.stride = 1 if before == after else 2
        self.first = nn.Conv2d(before, after, 3, self.stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])
        self.more = (after - before) // 2

    def forward(self, x):
        y = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        if self.stride == 2:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return F.relu(x + y)


def cifar_resnet(depth):
    widths = [16] + [width for width in (16, 32, 64) for _ in range((depth - 2) // 6)]
    blocks = [Block(before, after) for before, after in zip(widths, widths[1:])]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), 10


class Before(nn.Module):
    """A block with normalisation and ReLU before each convolution (He et al. 2016, Zagoruyko & Komodakis 2016)."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(before), nn.BatchNorm2d(after)])
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.shortcut = None if before == after else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x):
        active = F.relu(self.norms[0](x))
        shortcut = x if self.shortcut is None else self.shortcut(active)
        return self.second(F.relu(self.norms[1](self.first(active)))) + shortcut


def wide_resnet(depth, widening):
    count, before, blocks = (depth - 4) // 6, 16, []
    for stage, after in enumerate(widening * width for width in (16, 32, 64)):
        for at in range(count):
            blocks.append(Before(before, after, 2 if stage > 0 and at == 0 else 1))
            before = after
    ends = [nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10)]
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), *blocks, *ends), 10


def lenet5():
    layers = [nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)), 10


# Depth and widening.
WIDE = {"wide_resnet16_8": (16, 8), "preact_resnet112": (112, 1)}


def network(name):
    """A network, and its classes."""
    if name == "lenet5":
        return lenet5()
    if name.startswith("cifar_resnet"):
        return cifar_resnet(int(name.removeprefix("cifar_resnet")))
    if name in WIDE:
        return wide_resnet(*WIDE[name])
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
