"""Names every tensor that two directories of safetensors do not have alike, to the bit. Prints how many, last."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file


def tensors_of(directory: str) -> dict[str, torch.Tensor]:
    return {
        name: tensor
        for file in sorted(Path(directory).glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


if __name__ == "__main__":
    ours, theirs = tensors_of(sys.argv[1]), tensors_of(sys.argv[2])
    if not ours:
        sys.exit(f"{sys.argv[1]} holds no tensors")
    different = [
        name
        for name in sorted(ours | theirs)
        if name not in ours
        or name not in theirs
        or ours[name].dtype != theirs[name].dtype
        or not torch.equal(ours[name], theirs[name])
    ]
    for name in different:
        print(name)
    print(len(different))
