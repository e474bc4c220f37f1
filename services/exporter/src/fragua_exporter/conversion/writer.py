"""Writes GGUF files in one pass over the base: each tensor is read and merged once and stored in every quantization."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import gguf
import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType

from fragua_exporter.conversion.architectures.plan import ModelPlan, TensorPlan, as_stored
from fragua_exporter.conversion.checkpoint import Checkpoint, rows_of_a_block
from fragua_exporter.conversion.encoding import Encoders, largest_magnitude
from fragua_exporter.conversion.gguf_file import GgufFile, stored_bytes
from fragua_exporter.conversion.merge import Adapter
from fragua_exporter.conversion.vocabulary import Vocabulary
from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import InvalidData, LimitExceeded

_FORMATS: Mapping[Quantization, tuple[GGMLQuantizationType, LlamaFileType]] = {
    Quantization.F32: (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    Quantization.F16: (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    Quantization.BF16: (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    Quantization.Q8_0: (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
_LARGEST_F16 = float(np.finfo(np.float16).max)

WriteMetadata = Callable[[gguf.GGUFWriter], None]


def main_type(quantization: Quantization) -> GGMLQuantizationType:
    return _FORMATS[quantization][0]


def storage_type(quantization: Quantization, shape: tuple[int, ...]) -> GGMLQuantizationType:
    """Vectors stay in 32 bits; rows that do not fill whole blocks fall back to 16 bits."""
    wanted = main_type(quantization)
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    block, _ = gguf.GGML_QUANT_SIZES[wanted]
    return GGMLQuantizationType.F16 if shape[-1] % block else wanted


def file_size(plan: ModelPlan, quantization: Quantization) -> int:
    """Bytes of the tensors, which is all but a few megabytes of the file."""
    return sum(stored_bytes(storage_type(quantization, t.shape), t.shape) for t in plan.tensors)


def write_gguf_files(
    files: Mapping[Quantization, Path],
    plan: ModelPlan,
    checkpoint: Checkpoint,
    adapter: Adapter,
    vocabulary: Vocabulary,
    write_metadata: WriteMetadata,
    on_tensor: Callable[[int], None],
) -> dict[Quantization, str]:
    """Merge and write every planned tensor; returns the sha256 of each file, as it was written.

    `on_tensor` hears how many are done and may raise to stop.
    """
    encode = Encoders()
    with full_disk_is_named(), ExitStack() as stack:
        outputs = {quantization: GgufFile(path, plan.gguf_architecture) for quantization, path in files.items()}
        for quantization, output in outputs.items():
            stack.callback(output.close)
            _write_head(output, quantization, plan, vocabulary, write_metadata)
        # After the files, for it has to end before they are closed.
        disk = stack.enter_context(_OneBehind())
        for constant in plan.constants.values():
            for output in outputs.values():
                output.begin_tensor()
                output.append(constant)
        for done, tensor in enumerate(plan.tensors, start=1):
            types = {quantization: storage_type(quantization, tensor.shape) for quantization in outputs}
            for output in outputs.values():
                disk.do(output.begin_tensor)
            for rows in merged_rows(tensor, checkpoint, adapter):
                check_range(tensor.source, rows, GGMLQuantizationType.F16 in types.values())
                disk.do(partial(_append, outputs, types, encode(rows, set(types.values()))))
            on_tensor(done)
        disk.wait()
        for output in outputs.values():
            output.finish()
        return {quantization: output.sha256 for quantization, output in outputs.items()}


def merged_rows(tensor: TensorPlan, checkpoint: Checkpoint, adapter: Adapter) -> Iterator[np.ndarray]:
    """The tensor in llama.cpp's layout, block by block; each block is overwritten by the next but one.

    In 32 bits where the adapter changes it, as the base stores it where not.
    """
    if len(tensor.shape) == 1:
        return iter([tensor.transform(checkpoint.read(tensor.source))])
    if tensor.transform is as_stored:
        return adapter.merge(tensor.source, checkpoint.read_blocks(tensor.source))
    # Rows that trade places need the whole matrix: one at a time, in its own 16 or 32 bits.
    reordered = tensor.transform(checkpoint.read_stored(tensor.source))
    step = rows_of_a_block(tensor.shape[-1])
    blocks = (reordered[start : start + step] for start in range(0, len(reordered), step))
    return adapter.merge(tensor.source, blocks, tensor.transform)


def _append(
    outputs: Mapping[Quantization, GgufFile],
    types: Mapping[Quantization, GGMLQuantizationType],
    encoded: Mapping[GGMLQuantizationType, np.ndarray],
) -> None:
    for quantization, output in outputs.items():
        output.append(encoded[types[quantization]])


class _OneBehind:
    """Does one thing after the other in a thread of its own, where it waits for the disk while others compute."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True)

    def do(self, work: Callable[[], None]) -> None:
        """Begin it; what was begun before is done, or raises what went wrong with it."""
        self.wait()
        self._last = self._thread.submit(work)

    def wait(self) -> None:
        if self._last is not None:
            self._last.result()


def _write_head(
    output: GgufFile,
    quantization: Quantization,
    plan: ModelPlan,
    vocabulary: Vocabulary,
    write_metadata: WriteMetadata,
) -> None:
    output.add_type(gguf.GGUFType.MODEL)
    output.add_quantization_version(gguf.GGML_QUANT_VERSION)
    output.add_file_type(_FORMATS[quantization][1])
    plan.write_metadata(output)
    vocabulary.write_metadata(output)
    write_metadata(output)
    for name, values in plan.constants.items():
        output.announce_tensor(name, values.shape, GGMLQuantizationType.F32)
    for tensor in plan.tensors:
        output.announce_tensor(tensor.target, tensor.shape, storage_type(quantization, tensor.shape))
    output.write_head()


def check_range(name: str, rows: np.ndarray, narrow: bool) -> None:
    """Refuse what is not a number and, if it is to be written in 16-bit floats, what these cannot hold."""
    largest = largest_magnitude(rows)
    if not np.isfinite(largest):
        raise InvalidData(f"{name} holds NaN or infinity after the merge: the base is damaged or the training diverged")
    if narrow and largest > _LARGEST_F16:
        raise InvalidData(f"{name} reaches {largest:g}, more than 16-bit floats hold: export it as bf16 or f32")


@contextmanager
def full_disk_is_named() -> Iterator[None]:
    """Raise `LimitExceeded` where the disk, a quota or the limit on the size of files ends the writing."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise LimitExceeded("the disk filled up while the files were written", reason="DISK_FULL") from error
        raise
