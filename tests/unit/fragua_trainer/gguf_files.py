"""Makes GGUF files of tiny models, as the exporter writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.merge import Adapter
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_exporter.conversion.writer import write_gguf_files
from fragua_exporter.domain.export_spec import Quantization


def write_gguf(base: Path, file: Path, template: str) -> Path:
    """In Q8_0; without a chat template where `template` is empty."""
    checkpoint = open_checkpoint(base)
    plan = plan_model(checkpoint)

    def write_template(writer: Any) -> None:
        if template:
            writer.add_chat_template(template)

    write_gguf_files(
        {Quantization.Q8_0: file},
        plan,
        checkpoint,
        Adapter(rank=1, scale=1.0, updates={}),
        load_vocabulary(base, plan.vocabulary_size),
        write_metadata=write_template,
        on_tensor=lambda done: None,
    )
    return file
