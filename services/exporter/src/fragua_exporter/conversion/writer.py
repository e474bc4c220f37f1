"""Writes GGUF files in one pass over the base: each tensor is read and merged once and stored in every quantization."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, LlamaFileType

from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.checkpoint import Checkpoint
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


def storage_type(quantization: Quantization, shape: tuple[int, ...]) -> GGMLQuantizationType:
    """Vectors stay in 32 bits; rows that do not fill whole blocks fall back to 16 bits."""
    wanted, _ = _FORMATS[quantization]
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    block, _ = gguf.GGML_QUANT_SIZES[wanted]
    return GGMLQuantizationType.F16 if shape[-1] % block else wanted


def file_size(plan: ModelPlan, quantization: Quantization) -> int:
    """Bytes of the tensors, which is all but a few megabytes of the file."""
    return sum(_stored_bytes(storage_type(quantization, t.shape), t.shape) for t in plan.tensors)


def write_gguf_files(
    files: Mapping[Quantization, Path],
    plan: ModelPlan,
    checkpoint: Checkpoint,
    adapter: Adapter,
    vocabulary: Vocabulary,
    write_metadata: WriteMetadata,
    on_tensor: Callable[[int], None],
) -> None:
    """Merge and write every planned tensor; `on_tensor` hears how many are done and may raise to stop."""
    with _full_disk_is_named(), ExitStack() as stack:
        writers = {quantization: gguf.GGUFWriter(path, plan.gguf_architecture) for quantization, path in files.items()}
        for quantization, writer in writers.items():
            stack.callback(writer.close)
            _write_header(writer, quantization, plan, vocabulary, write_metadata)
        for constant in plan.constants.values():
            for writer in writers.values():
                writer.write_tensor_data(constant)
        for done, tensor in enumerate(plan.tensors, start=1):
            merged = adapter.merge(tensor.source, checkpoint.read(tensor.source))
            types = {quantization: storage_type(quantization, tensor.shape) for quantization in writers}
            _check_range(tensor.source, merged, GGMLQuantizationType.F16 in types.values())
            values = tensor.transform(merged).contiguous().numpy()
            for quantization, writer in writers.items():
                writer.write_tensor_data(gguf.quants.quantize(values, types[quantization]))
            on_tensor(done)


def _write_header(
    writer: gguf.GGUFWriter,
    quantization: Quantization,
    plan: ModelPlan,
    vocabulary: Vocabulary,
    write_metadata: WriteMetadata,
) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(_FORMATS[quantization][1])
    plan.write_metadata(writer)
    vocabulary.write_metadata(writer)
    write_metadata(writer)
    for name, values in plan.constants.items():
        writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
    for tensor in plan.tensors:
        stored = storage_type(quantization, tensor.shape)
        byte_shape = gguf.quant_shape_to_byte_shape(tensor.shape, stored)
        size = _stored_bytes(stored, tensor.shape)
        writer.add_tensor_info(tensor.target, byte_shape, np.dtype(np.uint8), size, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()


def _stored_bytes(stored: GGMLQuantizationType, shape: tuple[int, ...]) -> int:
    return int(np.prod(gguf.quant_shape_to_byte_shape(shape, stored), dtype=np.int64))


def _check_range(name: str, merged: torch.Tensor, narrow: bool) -> None:
    low, high = (float(bound) for bound in torch.aminmax(merged))
    largest = max(abs(low), abs(high))
    if not np.isfinite(largest):
        raise InvalidData(f"{name} holds NaN or infinity after the merge: the base is damaged or the training diverged")
    if narrow and largest > _LARGEST_F16:
        raise InvalidData(f"{name} reaches {largest:g}, more than 16-bit floats hold: export it as bf16 or f32")


@contextmanager
def _full_disk_is_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LimitExceeded("the disk filled up while the GGUF files were written", reason="DISK_FULL") from error
        raise
