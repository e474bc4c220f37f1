"""`benchmark.json`: one line of figures for each base model, and which of them the policy selects."""

from __future__ import annotations

from pydantic import Field

from fragua_evaluator.domain.frozen import Frozen
from fragua_evaluator.domain.report import ArmReport, EvaluationReport
from fragua_evaluator.domain.verdict import ReasonState
from fragua_evaluator.scoring.documents import numbers
from fragua_evaluator.scoring.documents.summary import (
    ItemFacts,
    average_score,
    evaluation_name,
    failure_note,
    is_scored,
    selected_by,
    selects,
    sorted_reasons,
)

BENCHMARK_FILE = "benchmark.json"


# R68, R71, R129
class BenchmarkedModel(Frozen):
    arm: str
    model: str
    avg_score: float | None
    """0 to 1, by the suite's first metric. Where the policy selects, of the suite that it goes by, as `yaml_valid_rate` and
    `completeness` are; else over all items of all suites but those of perplexity."""
    elapsed_sec: float
    """Spent in asking; answers from the cache cost nothing."""
    tokens_per_sec: float | None
    ram_usage_mb: float | None
    """Peak, in units of 2²⁰ bytes; None where the model runs elsewhere."""
    yaml_valid_rate: float | None
    """Share of the answers that have the form the suite asks for (YAML, JSON …), of the items that ask for one."""
    completeness: float | None
    """Share of what the suite requires to be there that is there, over the items that require something."""
    notes: str
    """What the figures alone would hide; empty when there is nothing."""


class Benchmark(Frozen):
    evaluation: str
    policy: str | None
    """Its name and the first digits of its digest; None when none was named."""
    models: tuple[BenchmarkedModel, ...]
    winner: str | None
    """The arm that the policy selects."""
    why: tuple[str, ...] = Field(min_length=1)
    """Why it won, or why there is none."""


def make_benchmark(report: EvaluationReport, facts: ItemFacts) -> Benchmark:
    winner = report.verdict.recommended_arm if report.verdict and selects(report) else None
    return Benchmark(
        evaluation=evaluation_name(report),
        policy=report.verdict.policy if report.verdict else None,
        models=tuple(_benchmarked(report, arm, facts) for arm in report.arms),
        winner=winner,
        why=tuple(_reasons(report, winner)),
    )


def _benchmarked(report: EvaluationReport, arm: ArmReport, facts: ItemFacts) -> BenchmarkedModel:
    deciding = arm.suite(selected_by(report) or "")
    if deciding is not None:
        score = deciding.metrics[0].score if is_scored(deciding) else None
        valid, complete = deciding.checks.get("valid"), deciding.checks.get("complete")
    else:
        score = average_score(arm)
        valid, complete = facts.check(arm.arm, "valid"), facts.check(arm.arm, "complete")
    return BenchmarkedModel(
        arm=arm.arm,
        model=arm.model,
        avg_score=score,
        elapsed_sec=arm.seconds,
        tokens_per_sec=arm.tokens_per_second,
        ram_usage_mb=None if arm.peak_rss_bytes is None else round(arm.peak_rss_bytes / 2**20, 1),
        yaml_valid_rate=valid,
        completeness=complete,
        notes="; ".join(notes(arm)),
    )


def notes(arm: ArmReport) -> list[str]:
    """What a reader of the figures has to know besides."""
    told = [failure_note(arm)]
    if arm.cached_answers:
        told.append(f"{arm.cached_answers} of {arm.answers} answers were cached; speed is of the others")
    if arm.tokens_per_second is None:
        told.append("speed not measured")
    if arm.peak_rss_bytes is None:
        told.append("memory not measured: the model runs elsewhere, or the system cannot tell")
    cut = [
        f"{numbers.share(1 - suite.checks['ended'])} of the answers to {suite.suite} did not end by themselves"
        for suite in arm.suites
        if suite.checks.get("ended", 1.0) < 1
    ]
    return [note for note in [*told, *cut] if note]


def _reasons(report: EvaluationReport, winner: str | None) -> list[str]:
    if report.verdict is None:
        return ["no policy was named, so no model is selected"]
    if not selects(report):
        return [f"the policy {report.verdict.policy} compares two arms and selects none"]
    reasons = sorted_reasons(report.verdict.reasons)
    decisive = [reason.text for reason in reasons if (reason.state is ReasonState.MET) == (winner is not None)]
    return decisive or [reason.text for reason in reasons] or ["the policy gave no reason"]
