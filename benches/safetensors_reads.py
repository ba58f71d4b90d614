#!/usr/bin/env python3
"""Reads the weights of an artifact with the safetensors library and prints what it found.

    pip install safetensors numpy
    python benches/safetensors_reads.py runs/latest/artifact/model.safetensors

Exits with 1 when there is nothing to read.
"""

import sys

from safetensors import safe_open


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with safe_open(arguments[0], framework="numpy") as weights:
        names = sorted(weights.keys())
        print(f"{arguments[0]}: {len(names)} tensors, metadata {weights.metadata()}")
        for name in names:
            tensor = weights.get_tensor(name)
            print(f"  {name:<32} {tensor.dtype} {list(tensor.shape)}, mean {tensor.mean():+.5f}, std {tensor.std():.5f}")
    return 0 if names else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
