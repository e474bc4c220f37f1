"""One published GGUF file with what was measured on it, as job results and answers tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from fragua_exporter.domain.export_spec import Quantization

REUSED = "reused.json"
"""In a job directory: what the attempt that finished had not to do again, as texts for people."""


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
    mean_kl: float = 0.0
    top1_agreement: float
    answer: str
    """To the probe prompt, through the file's own chat template."""
    answer_stopped: bool
    answer_tokens: int = 0
    answer_tokens_equal: int = 0
    """So many of its first tokens the merged model gives as well."""
    task_rows: int = 0
    task_score: float | None = None
    """Mean token F1 over held-out rows; None when none were asked."""
    task_score_delta: float | None = None
    """The same less the merged model's."""
    fallback_tensors: int = 0
    """Stored in another type than asked, because their rows do not fill its blocks."""

    @classmethod
    def from_info(cls, entry: Mapping[str, Any]) -> Self:
        """From an entry of `files` in `export_info.json`."""
        tokens, logits, answer = (entry["verification"][check] for check in ("tokens", "logits", "answer"))
        task = entry["verification"].get("task")
        return cls(
            file=entry["file"],
            quantization=entry["quantization"],
            bytes=entry["bytes"],
            sha256=entry["sha256"],
            token_ids_equal=not tokens["differing_texts"],
            max_kl=logits["max_kl"],
            mean_kl=logits["mean_kl"],
            top1_agreement=logits["top1_agreement"],
            answer=answer["text"],
            answer_stopped=answer["ended_by"] == "end_of_turn",
            answer_tokens=answer["tokens"],
            answer_tokens_equal=answer["tokens_equal_to_reference"],
            task_rows=task["rows"] if task else 0,
            task_score=task["token_f1"] if task else None,
            task_score_delta=task["token_f1_delta"] if task else None,
            fallback_tensors=len(entry.get("fallback_tensors", ())),
        )
