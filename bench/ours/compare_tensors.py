"""Names every tensor that two GGUF files do not have alike: type, shape and bytes. Prints how many, last."""

from __future__ import annotations

import struct
import sys
from typing import Any

import gguf
import numpy as np


class TensorReader(gguf.GGUFReader):
    """Steps over lists in the metadata: taking a vocabulary apart, string by string, takes the reader seconds."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
        if raw_type != gguf.GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        content = self.data.data
        item_type, count = struct.unpack_from("<IQ", content, orig_offs)
        end = orig_offs + struct.calcsize("<IQ")
        if item_type == gguf.GGUFValueType.STRING:
            for _ in range(count):
                (length,) = struct.unpack_from("<Q", content, end)
                end += 8 + length
        else:
            end += count * np.dtype(self.gguf_scalar_to_np[gguf.GGUFValueType(item_type)]).itemsize
        return end - orig_offs, [], [], [gguf.GGUFValueType.ARRAY]


def tensors_of(file: str) -> dict[str, gguf.ReaderTensor]:
    return {tensor.name: tensor for tensor in TensorReader(file).tensors}


def alike(one: gguf.ReaderTensor | None, other: gguf.ReaderTensor | None) -> bool:
    return (
        one is not None
        and other is not None
        and one.tensor_type == other.tensor_type
        and np.array_equal(one.shape, other.shape)
        and np.array_equal(one.data.view(np.uint8), other.data.view(np.uint8))
    )


if __name__ == "__main__":
    ours, theirs = tensors_of(sys.argv[1]), tensors_of(sys.argv[2])
    if not ours:
        sys.exit(f"{sys.argv[1]} holds no tensors")
    different = [name for name in sorted(ours | theirs) if not alike(ours.get(name), theirs.get(name))]
    for name in different:
        print(name)
    print(len(different))
