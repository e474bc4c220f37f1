"""Writes what the run leaves behind: an adapter that loads untouched in PEFT, and the record of how it came about."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fragua_trainer.domain.training_spec import TrainingSpec
from fragua_trainer.training.adapter import trainable_parameters
from fragua_trainer.training.base_model import BaseModel
from fragua_trainer.training.examples import Dataset, Split
from fragua_trainer.training.hardware import describe, peak_memory
from fragua_trainer.training.run import Run
from fragua_trainer.training.schedule import Plan

RECORDED_LIBRARIES = ("fragua-trainer", "torch", "transformers", "peft", "safetensors", "tokenizers")


@dataclass(frozen=True)
class Attempt:
    """This process's share of the run."""

    started: datetime
    resumed_from_step: int


def save_adapter(run: Run, base: BaseModel, outputs: Path) -> None:
    """The adapter, and beside it the tokenizer with the chat template that it was trained with."""
    # "auto" would look up the base model's vocabulary on a hub.
    run.model.save_pretrained(str(outputs), safe_serialization=True, save_embedding_layers=False)
    # PEFT's model card is a form with nothing filled in; training_info.json tells what is known.
    (outputs / "README.md").unlink(missing_ok=True)
    base.tokenizer.save_pretrained(outputs)


def write_training_info(
    run: Run,
    spec: TrainingSpec,
    plan: Plan,
    dataset: Dataset,
    targets: dict[str, int],
    notices: Sequence[str],
    attempt: Attempt,
    outputs: Path,
) -> None:
    finished = datetime.now(UTC)
    trainable = sum(parameter.numel() for _, parameter in trainable_parameters(run.model))
    info = {
        "arguments": spec.model_dump(mode="json", exclude={"provenance"}),
        "provenance": spec.provenance,
        "notices": list(notices),
        "precision": run.precision.value,
        "lora_targets": targets,
        "trainable_parameters": trainable,
        "base_parameters": sum(parameter.numel() for parameter in run.model.parameters()) - trainable,
        "dataset": {"train": _described(dataset.train), "validation": _described(dataset.validation)},
        "steps": run.state.step,
        "epochs": plan.epoch_of(run.state.step),
        "tokens": run.state.tokens,
        "loss": run.state.loss.model_dump() if run.state.loss else None,
        "validation_loss": run.state.validation.model_dump() if run.state.validation else None,
        "started": attempt.started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "duration_seconds": (finished - attempt.started).total_seconds(),
        "training_seconds": run.state.training_seconds,
        "resumed_from_step": attempt.resumed_from_step,
        "peak_memory": peak_memory(run.device),
        "hardware": describe(run.device),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in RECORDED_LIBRARIES},
    }
    (outputs / "training_info.json").write_text(json.dumps(info, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _described(split: Split) -> dict[str, Any]:
    return {"sha256": split.sha256, "rows": len(split), "supervised_tokens": split.supervised_tokens}
