"""Converts tiny models to GGUF files and compares what llama.cpp computes with what transformers computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import torch
from transformers import AutoModelForCausalLM

from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.merge import Adapter, load_adapter
from fragua_exporter.conversion.vocabulary import Vocabulary, load_vocabulary
from fragua_exporter.conversion.writer import write_gguf_files
from fragua_exporter.domain.export_spec import Quantization

NO_ADAPTER = Adapter(rank=1, scale=1.0, updates={})


def convert(
    base: Path,
    file: Path,
    adapter: Path | None = None,
    plan: ModelPlan | None = None,
    vocabulary: Vocabulary | None = None,
    quantization: Quantization = Quantization.F32,
) -> Path:
    """In 32 bits unless told otherwise, so that nothing but a fault is left to see. `plan` and `vocabulary` are the base's unless given."""
    checkpoint = open_checkpoint(base)
    plan = plan or plan_model(checkpoint)
    write_gguf_files(
        {quantization: file},
        plan,
        checkpoint,
        load_adapter(adapter, plan) if adapter else NO_ADAPTER,
        vocabulary or load_vocabulary(base, plan.vocabulary_size),
        write_metadata=lambda writer: None,
        on_tensor=lambda done: None,
    )
    return file


@dataclass(frozen=True)
class Divergence:
    """Kullback-Leibler, in nats per token, over all positions."""

    mean: float
    largest: float


def divergence(file: Path, model: Any, ids: Sequence[int], context: int | None = None) -> Divergence:
    """How far the file is from `model` (one of transformers, or a directory of one) at every position of `ids`."""
    if isinstance(model, Path):
        model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.inference_mode():
        logits = model.eval()(torch.tensor([list(ids)])).logits[0]
    theirs = torch.log_softmax(logits.double(), dim=-1)
    ours = torch.log_softmax(torch.from_numpy(llama_cpp_logits(file, ids, context)).double(), dim=-1)
    kl = (theirs.exp() * (theirs - ours)).sum(dim=-1)
    return Divergence(float(kl.mean()), float(kl.max()))


def metadata_of(plan: ModelPlan, directory: Path) -> dict[str, Any]:
    """What the plan itself says of the model, by key."""
    file = directory / "metadata.gguf"
    writer = gguf.GGUFWriter(file, plan.gguf_architecture)
    plan.write_metadata(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return entries_of(file)


def entries_of(file: Path) -> dict[str, Any]:
    """Everything that a GGUF file says beside its tensors."""
    fields = gguf.GGUFReader(file).fields
    return {name: field.contents() for name, field in fields.items() if not name.startswith("GGUF.")}


def llama_cpp_logits(file: Path, ids: Sequence[int], context: int | None = None) -> np.ndarray:
    llama = open_in_llama_cpp(file, n_ctx=context or len(ids), n_batch=len(ids), logits_all=True)
    try:
        llama.eval(list(ids))
        return np.array(llama.scores[: len(ids)])
    finally:
        llama.close()


class TokenSplitter:
    """Splits texts as llama.cpp does with the vocabulary of a file."""

    def __init__(self, file: Path) -> None:
        self._llama = open_in_llama_cpp(file, vocab_only=True)

    def __enter__(self) -> TokenSplitter:
        return self

    def __exit__(self, *_: object) -> None:
        self._llama.close()

    def __call__(self, text: str, *, add_bos: bool = False) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=add_bos, special=True))


class ForgetfulWriter:
    """Passes everything on to a writer, except one entry, which it leaves out or replaces."""

    def __init__(self, writer: gguf.GGUFWriter, method: str, value: Any) -> None:
        self._writer, self._method, self._value = writer, method, value

    def __getattr__(self, name: str) -> Callable[..., None]:
        method: Callable[..., None] = getattr(self._writer, name)
        if name != self._method:
            return method
        return lambda _: None if self._value is None else method(self._value)


def write_vocabulary(vocabulary: Vocabulary, file: Path, **instead: Any) -> Path:
    """A file of nothing but tokens; `instead` replaces one entry, by the name of the writer's method."""
    writer: Any = gguf.GGUFWriter(file, "llama")
    vocabulary.write_metadata(ForgetfulWriter(writer, *instead.popitem()) if instead else writer)  # type: ignore[arg-type]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return file


def open_in_llama_cpp(file: Path, **options: Any) -> llama_cpp.Llama:
    f32 = llama_cpp.GGML_TYPE_F32
    return llama_cpp.Llama(str(file), n_threads=2, n_threads_batch=2, type_k=f32, type_v=f32, verbose=False, **options)
