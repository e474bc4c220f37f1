"""One published GGUF file with what was measured on it, as job results and answers tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from fragua_exporter.domain.export_spec import Quantization


class ExportedFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    quantization: Quantization
    bytes: int
    sha256: str
    token_ids_equal: bool
    """All test texts gave the token ids of the original tokenizer."""
    max_kl: float
    """Largest divergence from the merged model's next-token distribution, in nats."""
    top1_agreement: float
    answer: str
    """To the probe prompt, through the file's own chat template."""
    answer_stopped: bool

    @classmethod
    def from_info(cls, entry: Mapping[str, Any]) -> Self:
        """From an entry of `files` in `export_info.json`."""
        tokens, logits, answer = (entry["verification"][check] for check in ("tokens", "logits", "answer"))
        return cls(
            file=entry["file"],
            quantization=entry["quantization"],
            bytes=entry["bytes"],
            sha256=entry["sha256"],
            token_ids_equal=not tokens["differing_texts"],
            max_kl=logits["max_kl"],
            top1_agreement=logits["top1_agreement"],
            answer=answer["text"],
            answer_stopped=answer["ended_by"] == "end_of_turn",
        )
