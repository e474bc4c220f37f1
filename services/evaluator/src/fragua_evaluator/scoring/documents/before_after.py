"""Before and after: what the baseline and the candidate were trained on, and what that changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, ValidationError

from fragua_evaluator.domain.report import ArmReport, EvaluationReport
from fragua_evaluator.scoring.documents import numbers
from fragua_evaluator.scoring.documents.summary import (
    ItemFacts,
    average_score,
    decisive_pair,
    first_metric,
    selects,
    suite_names,
)

TRAINING_FILE = "training_info.json"
"""Beside an adapter that our trainer made."""
_MAX_BYTES = 4 * 2**20


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class _Rows(_Told):
    rows: NonNegativeInt
    sha256: str = ""


class _Dataset(_Told):
    train: _Rows
    validation: _Rows | None = None


class _Loss(_Told):
    best: float


class Training(_Told):
    """What is read of `training_info.json`."""

    dataset: _Dataset
    epochs: NonNegativeFloat
    loss: _Loss | None = None
    validation_loss: _Loss | None = None
    provenance: dict[str, str] = {}


@dataclass(frozen=True)
class Row:
    figure: str
    before: str
    after: str
    change: str = numbers.NOTHING
    relative: str = numbers.NOTHING
    """In percent of what was before."""


# R49
def before_and_after(report: EvaluationReport, facts: ItemFacts, inputs: Path | None) -> list[Row]:
    """Of the decisive pair; empty where there is none. What an adapter's maker did not tell is left out or a dash."""
    before, after = (report.arm(name) for name in decisive_pair(report))
    if before.arm == after.arm or selects(report):
        return []
    trainings = tuple(_training(report, arm.arm, inputs) for arm in (before, after))
    return [*_trained(*trainings), *_measured(report, facts, before, after)]


def _training(report: EvaluationReport, arm: str, inputs: Path | None) -> Training | None:
    """None where there is no adapter, or somebody else trained it."""
    specs = report.spec.get("arms") or ()
    target = next((spec["target"] for spec in specs if spec.get("name") == arm), None)
    adapter = target.get("adapter") if isinstance(target, Mapping) else None
    if inputs is None or not adapter:
        return None
    file = inputs / adapter / TRAINING_FILE
    try:
        with file.open("rb") as content:
            return Training.model_validate_json(content.read(_MAX_BYTES))
    except (OSError, ValidationError):
        return None


def _trained(before: Training | None, after: Training | None) -> Iterator[Row]:
    if before is None and after is None:
        return
    yield Row("trained on", _dataset_of(before), _dataset_of(after))
    yield _row("training examples", _examples(before), _examples(after), digits=0)
    yield _row("epochs", before.epochs if before else None, after.epochs if after else None, digits=2)
    for figure, loss_of, rows_of in (
        ("best validation loss", _validation_loss, _validation_rows),
        ("best training loss", _training_loss, _training_rows),
    ):
        row = _row(figure, loss_of(before), loss_of(after), digits=4)
        rows = rows_of(before)
        # Losses on other rows are other figures: no difference is taken between them.
        yield row if rows and rows == rows_of(after) else Row(figure, row.before, row.after)


def _examples(training: Training | None) -> float | None:
    return training.dataset.train.rows if training else None


def _validation_loss(training: Training | None) -> float | None:
    return training.validation_loss.best if training and training.validation_loss else None


def _training_loss(training: Training | None) -> float | None:
    return training.loss.best if training and training.loss else None


def _validation_rows(training: Training | None) -> str:
    return training.dataset.validation.sha256 if training and training.dataset.validation else ""


def _training_rows(training: Training | None) -> str:
    return training.dataset.train.sha256 if training else ""


def _dataset_of(training: Training | None) -> str:
    if training is None:
        return numbers.NOTHING
    version = training.provenance.get("dataset_version", numbers.NOTHING)
    continued = "warm_start_manifest_sha256" in training.provenance
    return f"{version}, on from another adapter" if continued else version


def _measured(report: EvaluationReport, facts: ItemFacts, before: ArmReport, after: ArmReport) -> Iterator[Row]:
    for name in suite_names(report):
        old, new = first_metric(before.suite(name)), first_metric(after.suite(name))
        if old and new:
            yield _row(f"{name}: {old.metric}", old.score, new.score)
    if len(suite_names(report)) > 1:
        yield _row("average score", average_score(before), average_score(after))
    # Coverage, as the share of the questions that got an answer which could be scored.
    yield _row("items answered", _answered(before), _answered(after))
    for check, figure in (("valid", "valid answers"), ("complete", "completeness")):
        yield _row(figure, facts.check(before.arm, check), facts.check(after.arm, check))
    yield _row("tokens/s", before.tokens_per_second, after.tokens_per_second, digits=1)
    yield _row("peak memory, GiB", _gibibytes(before), _gibibytes(after), digits=2)


def _answered(arm: ArmReport) -> float | None:
    items = sum(suite.items for suite in arm.suites)
    return 1 - sum(suite.failed for suite in arm.suites) / items if items else None


def _gibibytes(arm: ArmReport) -> float | None:
    return None if arm.peak_rss_bytes is None else arm.peak_rss_bytes / 2**30


def _row(figure: str, before: float | None, after: float | None, digits: int = 3) -> Row:
    old, new = numbers.decimal(before, digits), numbers.decimal(after, digits)
    if before is None or after is None:
        return Row(figure, old, new)
    relative = f"{numbers.signed(100 * (after - before) / abs(before), 1)} %" if before else numbers.NOTHING
    return Row(figure, old, new, numbers.signed(after - before, digits), relative)
