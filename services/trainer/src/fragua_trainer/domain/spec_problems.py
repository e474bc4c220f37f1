"""Finds everything that is wrong with a specification in one go, and what an unknown key was meant to be."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]

_KNOWN_ELSEWHERE = {
    "r": "lora.rank",
    "lora_r": "lora.rank",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "use_rslora": "lora.rslora",
    "use_dora": "lora.dora",
    "lr": "schedule.learning_rate",
    "num_epochs": "schedule.epochs",
    "num_train_epochs": "schedule.epochs",
    "per_device_train_batch_size": "schedule.batch_size",
    "grad_accum": "schedule.gradient_accumulation",
    "gradient_accumulation_steps": "schedule.gradient_accumulation",
    "max_seq_length": "schedule.max_length",
    "neftune_noise_alpha": "schedule.neftune_alpha",
    "lr_scheduler_type": "schedule.scheduler",
    "logging_steps": "logging.log_steps",
    "save_total_limit": "logging.keep_checkpoints",
    "optim": "optimizer",
    "train_limit": "limits.train_rows",
    "val_limit": "limits.validation_rows",
    "max_duration": "limits.max_seconds",
    "fsdp": "shard_base",
}
"""What PEFT, transformers and TRL call the same things."""


@dataclass(frozen=True)
class Problem:
    """Something wrong at `location`, the keys that lead to it."""

    location: Location
    description: str

    @property
    def place(self) -> str:
        return ".".join(str(key) for key in self.location)


M = TypeVar("M", bound=BaseModel)


def read_with_problems(model: type[M], raw: Mapping[str, Any]) -> tuple[M, list[Problem]]:
    """Validate `raw`, taking the default of `model` wherever a value is wrong or a key unknown."""
    problems: list[Problem] = []
    rest = copy.deepcopy(dict(raw))
    while True:
        try:
            return model.model_validate(rest), problems
        except ValidationError as invalid:
            found = [Problem(error["loc"], _describe(model, error)) for error in invalid.errors(include_url=False)]
        for problem in found:
            _remove(rest, problem.location)
        problems += found


def _remove(values: dict[str, Any], location: Location) -> None:
    """Remove the value with a problem, or the list that it is part of."""
    *way, last = [key for key in location if isinstance(key, str)]
    for key in way:
        if not isinstance(values.get(key), dict):
            values.pop(key, None)
            return
        values = values[key]
    values.pop(last, None)


def _describe(model: type[BaseModel], error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "is not a key of the specification" + _did_you_mean(model, error["loc"])
    shown = repr(error["input"])
    return f"{error['msg']} (got {shown})" if len(shown) <= 80 else error["msg"]


def _did_you_mean(model: type[BaseModel], location: Location) -> str:
    *parents, name = (str(key) for key in location)
    known = list(_keys_of(model))
    if place := _KNOWN_ELSEWHERE.get(name):
        return f"; here it is {place}"
    if elsewhere := [key for key in known if key.rpartition(".")[2] == name]:
        return f"; it belongs at {elsewhere[0]}"
    nearest = difflib.get_close_matches(".".join([*parents, name]), known, n=1, cutoff=0.75)
    if not nearest and (alike := difflib.get_close_matches(name, _names(known), n=1, cutoff=0.75)):
        nearest = [key for key in known if key.rpartition(".")[2] == alike[0]]
    return f"; did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(_siblings(known, parents))}"


def _keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys_of(field.annotation, f"{prefix}{name}.")


def _names(keys: Sequence[str]) -> list[str]:
    return [key.rpartition(".")[2] for key in keys]


def _siblings(keys: Sequence[str], parents: Sequence[str]) -> list[str]:
    return [key for key in keys if key.split(".")[:-1] == list(parents)]
