"""A GGUF file that is written front to back, its tensors in pieces of any size."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import IO, Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType


class GgufFile(gguf.GGUFWriter):
    """gguf's writer, without its way through one array per tensor and one call per token of the vocabulary."""

    def open_output_file(self, path: Path | None = None) -> None:
        super().open_output_file(path)
        [stream] = self.fout or []
        self._written = stream if isinstance(stream, _Digesting) else _Digesting(stream)
        self.fout = [self._written]  # type: ignore[list-item]  # it has what gguf's writer calls

    @property
    def sha256(self) -> str:
        """Of all that was written so far."""
        return self._written.digest.hexdigest()

    def announce_tensor(self, name: str, shape: tuple[int, ...], stored: GGMLQuantizationType) -> None:
        """To be called for each tensor before `write_head`, in the order in which they will be written."""
        byte_shape = gguf.quant_shape_to_byte_shape(shape, stored)
        self.add_tensor_info(name, byte_shape, np.dtype(np.uint8), stored_bytes(stored, shape), raw_dtype=stored)

    def write_head(self) -> None:
        self.write_header_to_file()
        self.write_kv_data_to_file()
        self.write_ti_data_to_file()

    def begin_tensor(self) -> None:
        self.write_padding(self._stream, self._stream.tell())

    def append(self, values: np.ndarray) -> None:
        self._stream.write(np.ascontiguousarray(values).data)

    def finish(self) -> None:
        self.begin_tensor()  # The end of the last tensor is padded as well.
        self.close()

    @property
    def _stream(self) -> Any:
        assert self.fout is not None, "write_head comes first"
        return self.fout[0]

    def _pack_val(
        self, val: Any, vtype: GGUFValueType, add_vtype: bool, sub_type: GGUFValueType | None = None
    ) -> bytes:
        if vtype == GGUFValueType.ARRAY and sub_type is None and len(val) > 1 and (packed := _pack_list(val)):
            head = self._pack("I", vtype) if add_vtype else b""
            return head + packed
        return super()._pack_val(val, vtype, add_vtype, sub_type)


class _Digesting:
    """A stream that is only written to, with the digest of what was: nobody has to read the file for it.

    The digest takes longer than the writing, so it is taken at the same time.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self.digest = hashlib.sha256()

    def write(self, content: Any) -> int:
        digested = self._thread.submit(self.digest.update, content)
        try:
            return self._stream.write(content)
        finally:
            digested.result()  # The caller may reuse what it passed.

    def close(self) -> None:
        self._thread.shutdown()
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def stored_bytes(stored: GGMLQuantizationType, shape: tuple[int, ...]) -> int:
    return int(np.prod(gguf.quant_shape_to_byte_shape(shape, stored), dtype=np.int64))


def _pack_list(values: Sequence[Any]) -> bytes | None:
    """A list of texts or numbers at once, for one by one a vocabulary takes most of a second; None for any other."""
    match values[0]:
        case bool():
            return None
        case str():
            kind = GGUFValueType.STRING
            texts = list(map(str.encode, values))
            lengths = {length: length.to_bytes(8, "little") for length in set(map(len, texts))}
            content = b"".join(chain.from_iterable(zip(map(lengths.__getitem__, map(len, texts)), texts, strict=True)))
        case int():
            kind = GGUFValueType.INT32
            content = struct.pack(f"<{len(values)}i", *values)
        case float():
            kind = GGUFValueType.FLOAT32
            content = struct.pack(f"<{len(values)}f", *values)
        case _:
            return None
    return struct.pack("<IQ", kind, len(values)) + content


def tensor_types(file: Path) -> dict[str, GGMLQuantizationType]:
    return {tensor.name: tensor.tensor_type for tensor in _HeadReader(file).tensors}


class _HeadReader(gguf.GGUFReader):
    """Steps over lists in the metadata: to take a vocabulary apart, token by token, takes gguf's reader seconds."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[GGUFValueType]]:
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        content = self.data.data
        item_type, count = struct.unpack_from("<IQ", content, orig_offs)
        end = orig_offs + struct.calcsize("<IQ")
        if item_type == GGUFValueType.STRING:
            for _ in range(count):
                (length,) = struct.unpack_from("<Q", content, end)
                end += 8 + length
        else:
            end += count * np.dtype(self.gguf_scalar_to_np[GGUFValueType(item_type)]).itemsize
        return end - orig_offs, [], [], [GGUFValueType.ARRAY]
