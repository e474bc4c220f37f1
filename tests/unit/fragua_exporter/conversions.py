"""Converts tiny models to GGUF files and compares what llama.cpp computes with what transformers computes."""

from __future__ import annotations

from collections.abc import Sequence
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
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_exporter.conversion.writer import write_gguf_files
from fragua_exporter.domain.export_spec import Quantization

NO_ADAPTER = Adapter(rank=1, scale=1.0, updates={})


def convert(
    base: Path, file: Path, adapter: Path | None = None, plan: ModelPlan | None = None, **metadata: str
) -> Path:
    """In 32 bits, so that nothing but a fault is left to see; `metadata` are further entries, such as a name."""
    checkpoint = open_checkpoint(base)
    plan = plan or plan_model(checkpoint)

    def write_metadata(writer: Any) -> None:
        for name, value in metadata.items():
            getattr(writer, f"add_{name}")(value)

    write_gguf_files(
        {Quantization.F32: file},
        plan,
        checkpoint,
        load_adapter(adapter, plan) if adapter else NO_ADAPTER,
        load_vocabulary(base, plan.vocabulary_size),
        write_metadata,
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


def llama_cpp_tokens(file: Path, text: str, **options: Any) -> list[int]:
    llama = open_in_llama_cpp(file, vocab_only=True)
    try:
        return list(llama.tokenize(text.encode(), **{"add_bos": False, "special": True, **options}))
    finally:
        llama.close()


def open_in_llama_cpp(file: Path, **options: Any) -> llama_cpp.Llama:
    f32 = llama_cpp.GGML_TYPE_F32
    return llama_cpp.Llama(str(file), n_threads=2, n_threads_batch=2, type_k=f32, type_v=f32, verbose=False, **options)
