"""An evaluation's result for people: the verdict with its reasons, the arms side by side, and how they compare."""

from __future__ import annotations

from typing import Final

from rich.markup import escape

from fragua.evaluator.v1 import evaluator_pb2, result_pb2
from fragua_cli.output import Output, size_of

_COLOURS: Final = {
    result_pb2.VERDICT_OUTCOME_GO: "bold green",
    result_pb2.VERDICT_OUTCOME_NO_GO: "bold red",
    result_pb2.VERDICT_OUTCOME_INCONCLUSIVE: "bold yellow",
}
_MARKS: Final = {"met": "[green]met[/green]", "unmet": "[red]unmet[/red]", "undecided": "[yellow]undecided[/yellow]"}
_SHOWN_CHECKS: Final = ("ended", "valid", "complete")
_CLOSE_P_VALUE: Final = 1e-4


def show_scores(output: Output, evaluation: evaluator_pb2.Evaluation) -> None:
    result = evaluation.result
    if result.HasField("verdict"):
        _show_verdict(output, result.verdict)
    _show_arms(output, result)
    if result.comparisons:
        _show_comparisons(output, result)


def outcome_name(outcome: result_pb2.VerdictOutcome) -> str:
    return result_pb2.VerdictOutcome.Name(outcome).removeprefix("VERDICT_OUTCOME_").replace("_", "-")


def outcome_text(outcome: result_pb2.VerdictOutcome) -> str:
    return f"[{_COLOURS[outcome]}]{outcome_name(outcome)}[/{_COLOURS[outcome]}]"


def _show_verdict(output: Output, verdict: result_pb2.Verdict) -> None:
    use = f"use {verdict.recommended_arm}" if verdict.recommended_arm else "no arm meets the rule"
    output.say(f"{outcome_text(verdict.outcome)} for {verdict.candidate} by {escape(verdict.policy)}: {use}")
    output.table(
        {
            "CRITERION": [escape(reason.criterion) for reason in verdict.reasons],
            "TIER": [reason.tier for reason in verdict.reasons],
            "STATE": [_MARKS.get(reason.state, reason.state.replace("_", " ")) for reason in verdict.reasons],
            "WHY": [escape(reason.text) for reason in verdict.reasons],
        }
    )


def _show_arms(output: Output, result: result_pb2.EvaluationResult) -> None:
    rows = [(arm, suite, suite.metrics[0]) for arm in result.arms for suite in arm.suites]
    output.table(
        {
            "ARM": [arm.arm for arm, _, _ in rows],
            "SUITE": [suite.suite for _, suite, _ in rows],
            "METRIC": [escape(metric.metric) for _, _, metric in rows],
            "SCORE": [_score(metric.score) for _, _, metric in rows],
            "95 % INTERVAL": [f"{_score(m.score_low)} to {_score(m.score_high)}" for _, _, m in rows],
            "SD": [f"{m.standard_deviation:.3f}" if m.HasField("standard_deviation") else "" for _, _, m in rows],
            "ITEMS": [_items(suite) for _, suite, _ in rows],
            **{
                name.upper(): [f"{suite.checks[name]:.0%}" if name in suite.checks else "" for _, suite, _ in rows]
                for name in _SHOWN_CHECKS
                if any(name in suite.checks for _, suite, _ in rows)
            },
            "TOKENS/S": [f"{a.tokens_per_second:,.0f}" if a.HasField("tokens_per_second") else "" for a, _, _ in rows],
            "MEMORY": [size_of(a.peak_memory_bytes) if a.HasField("peak_memory_bytes") else "" for a, _, _ in rows],
            "SECONDS": [f"{a.seconds:,.0f}" for a, _, _ in rows],
        }
    )


def _show_comparisons(output: Output, result: result_pb2.EvaluationResult) -> None:
    compared = result.comparisons
    output.table(
        {
            "SUITE": [each.suite for each in compared],
            "COMPARED": [f"{each.arm} to {each.baseline}" for each in compared],
            "DIFFERENCE": [f"{each.difference:+.3f}" for each in compared],
            "95 % INTERVAL": [f"{each.difference_low:+.3f} to {each.difference_high:+.3f}" for each in compared],
            "BETTER, WORSE, EQUAL": [f"{each.improved}, {each.worsened}, {each.tied}" for each in compared],
            "TEST": [escape(each.test) for each in compared],
            "P (HOLM)": [_p_value(each.adjusted_p_value) for each in compared],
            "D": [f"{each.effect_size:.2f}" if each.HasField("effect_size") else "" for each in compared],
            "POWER": [f"{each.power:.0%}" if each.HasField("power") else "" for each in compared],
        }
    )


def _score(value: float) -> str:
    """Scores from 0 to 1 as shares; log-likelihoods lie below 0."""
    return f"{value:.1%}" if value >= 0 else f"{value:.3f}"


def _items(suite: result_pb2.SuiteResult) -> str:
    return f"{suite.item_count:,}" + (f" ({suite.failed_item_count:,} failed)" if suite.failed_item_count else "")


def _p_value(value: float) -> str:
    return f"{value:.1e}" if value < _CLOSE_P_VALUE else f"{value:.4f}"
