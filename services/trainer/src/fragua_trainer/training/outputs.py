"""Writes what the run leaves behind: an adapter that loads untouched in PEFT, and the record of how it came about."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from fragua_trainer.domain.training_spec import SESSION_FILE, TrainingSpec
from fragua_trainer.training.adapter import trainable_parameters
from fragua_trainer.training.base_model import BaseModel
from fragua_trainer.training.early_stopping import Ending
from fragua_trainer.training.examples import Split
from fragua_trainer.training.hardware import describe, peak_memory
from fragua_trainer.training.preparation import Preparation
from fragua_trainer.training.provenance import library_versions, repository_commit
from fragua_trainer.training.run import Run


@dataclass(frozen=True)
class Attempt:
    """This process's share of the run."""

    started: datetime
    resumed_from_step: int


@dataclass(frozen=True)
class Outcome:
    """How the run ended."""

    ending: Ending
    adapter_step: int
    """The step that the weights of the adapter are from."""
    adapter_loss: float | None
    adapter_validation_loss: float | None
    """As last measured up to that step."""
    suspicions: Sequence[str]
    notices: Sequence[str]


def write_session(job_directory: Path, device: torch.device) -> None:
    """What this attempt runs on, and as which process; of a run that fails nothing else is left."""
    session = {
        "process": os.getppid() if "RANK" in os.environ else os.getpid(),
        "hardware": describe(device),
        "versions": library_versions(),
        "repository_commit": repository_commit(),
    }
    (job_directory / SESSION_FILE).write_text(json.dumps(session, indent=2) + "\n", "utf-8")


def save_adapter(run: Run, base: BaseModel, outputs: Path) -> None:
    """The adapter, and beside it the tokenizer with the chat template that it was trained with."""
    # "auto" would look up the base model's vocabulary on a hub.
    run.model.save_pretrained(str(outputs), safe_serialization=True, save_embedding_layers=False)
    # PEFT's model card is a form with nothing filled in; training_info.json tells what is known.
    (outputs / "README.md").unlink(missing_ok=True)
    base.tokenizer.save_pretrained(outputs)
    tokens = special_tokens_map(base.tokenizer)
    (outputs / "special_tokens_map.json").write_text(json.dumps(tokens, indent=2, ensure_ascii=False) + "\n", "utf-8")


def special_tokens_map(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """As transformers wrote it up to version 4; version 5 only reads it, and other programs look for it still."""
    known = tokenizer.added_tokens_decoder

    def described(text: str) -> dict[str, Any] | str:
        number: Any = tokenizer.convert_tokens_to_ids(text)
        token = known.get(number)
        if token is None:
            return text
        flags = ("lstrip", "normalized", "rstrip", "single_word")
        return {"content": text} | {flag: getattr(token, flag) for flag in flags}

    tokens: dict[str, Any] = {role: described(text) for role, text in tokenizer.special_tokens_map.items()}
    if further := [str(token) for token in tokenizer.extra_special_tokens]:
        tokens["additional_special_tokens"] = further
    return tokens


def write_training_info(
    run: Run, asked: TrainingSpec, ready: Preparation, outcome: Outcome, attempt: Attempt, outputs: Path
) -> None:
    """`asked` as it came; what was put in its place here is recorded beside it."""
    state = run.state
    finished = datetime.now(UTC)
    trainable = sum(parameter.numel() for _, parameter in trainable_parameters(run.model))
    info = {
        "arguments": asked.model_dump(mode="json", exclude={"provenance"}),
        "provenance": asked.provenance,
        "limits": asked.limits.model_dump() | {"max_steps": asked.schedule.max_steps},
        "notices": list(outcome.notices),
        "suspicions": list(outcome.suspicions),
        "base_architecture": ready.base.architecture,
        "precision": run.precision.value,
        "quantization": ready.quantization.value,
        "optimizer": ready.optimizer.value,
        "gradient_checkpointing": ready.gradient_checkpointing,
        "processes": run.ranks.count,
        "base_shards": ready.shards,
        "lora_targets": ready.targets,
        "trainable_parameters": trainable,
        "base_parameters": sum(parameter.numel() for parameter in run.model.parameters()) - trainable,
        "dataset": {"train": _described(ready.dataset.train), "validation": _described(ready.dataset.validation)},
        "ending": outcome.ending.value,
        "steps": state.step,
        "planned_steps": ready.plan.total_steps,
        "adapter_step": outcome.adapter_step,
        "adapter_loss": outcome.adapter_loss,
        "adapter_validation_loss": outcome.adapter_validation_loss,
        "best_checkpoint": state.best.model_dump() if state.best else None,
        "epochs": ready.plan.epoch_of(state.step),
        "tokens": state.tokens,
        "loss": state.loss.model_dump() if state.loss else None,
        "validation_loss": state.validation.model_dump() if state.validation else None,
        "started": attempt.started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "duration_seconds": (finished - attempt.started).total_seconds(),
        "training_seconds": state.training_seconds,
        "resumed_from_step": attempt.resumed_from_step,
        "peak_memory": peak_memory(run.device),
        "hardware": describe(run.device),
        "versions": library_versions(),
        "repository_commit": repository_commit(),
    }
    (outputs / "training_info.json").write_text(json.dumps(info, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _described(split: Split) -> dict[str, Any]:
    """`rows` counts what was used, within the limits; the digest is that of the whole file."""
    return {"sha256": split.sha256, "rows": len(split), "supervised_tokens": split.supervised_tokens}
