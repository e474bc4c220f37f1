"""`report.html`: the whole report with every item, in one file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fragua_evaluator.domain.report import EvaluationReport, ItemRecord, PairedComparison
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.domain.votes import report_digest
from fragua_evaluator.scoring.documents import numbers, plots, summary
from fragua_evaluator.scoring.documents.before_after import Row
from fragua_evaluator.scoring.documents.markdown import OUTCOME_WORDS, STATE_WORDS, condition
from fragua_evaluator.scoring.documents.sample import ItemSample, inside_script, sample_items
from fragua_evaluator.scoring.documents.summary import ItemFacts

PAGE_FILE = "report.html"

_STYLES = ("report.css",)
_SCRIPTS = ("data.js", "items.js", "votes.js", "review.js", "start.js")
_FEW_PAIRS = 6


def write_page(
    report: EvaluationReport, facts: ItemFacts, changes: Sequence[Row], items: Callable[[], Iterator[ItemRecord]]
) -> str:
    sample = sample_items(items(), [arm.arm for arm in report.arms], summary.seed(report))
    style = "".join(map(_asset, _STYLES))
    # One function around everything: the page has no names for other scripts to find.
    script = '"use strict";\n(() => {\n' + "".join(map(_asset, _SCRIPTS)) + "})();\n"
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            digest=report_digest(report),
            facts=facts,
            changes=changes,
            policy=_content_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            data=Markup(_embedded(report, sample)),
            shown_items=len(sample.rows),
            all_items=sample.total,
            pair=summary.decisive_pair(report),
            favourite=summary.favourite(report),
            arm_notes=lambda arm: ", ".join(_arm_notes(report, arm)),
            decisive=[
                comparison
                for comparison in report.comparisons
                if summary.is_decisive(report, comparison) and _is_bounded(report, comparison.suite)
            ],
            outcome_words=OUTCOME_WORDS,
            state_words=STATE_WORDS,
            score_axes=_score_axes(report),
            difference_axes=_difference_axes(report),
            main_pairs=lambda suite: _pairs(report, suite, decisive=True),
            other_pairs=lambda suite: _pairs(report, suite, decisive=False),
        )
    )


def _embedded(report: EvaluationReport, sample: ItemSample) -> str:
    """What the scripts read; `templates/data.js` says what each name means."""
    arms = [arm.arm for arm in report.arms]
    head = {
        "evaluation": summary.evaluation_name(report),
        "report": report_digest(report),
        "seed": summary.seed(report),
        "arms": arms,
        "pair": [arms.index(name) for name in summary.decisive_pair(report)],
        "suites": {
            suite.suite: {"kind": suite.kind.value, "metric": suite.metrics[0].metric if suite.metrics else ""}
            for arm in report.arms
            for suite in arm.suites
        },
        "total": sample.total,
    }
    written = json.dumps(head, ensure_ascii=False)
    rows = ",\n".join(sample.rows)
    return inside_script(f'{written[:-1]}, "items": [\n{rows}\n]}}')


def _content_policy(style: str, script: str) -> str:
    """Nothing is loaded, nothing is sent, and no script runs but this one."""
    return (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'sha256-{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (resources.files("fragua_evaluator.scoring.documents") / "templates" / name).read_text("utf-8")


def _arm_notes(report: EvaluationReport, arm: str) -> Iterator[str]:
    role = summary.role(report, arm)
    if role != arm and not summary.selects(report):
        yield role
    if report.verdict and report.verdict.recommended_arm == arm:
        yield "recommended"


def _pairs(report: EvaluationReport, suite: str, *, decisive: bool) -> list[PairedComparison]:
    """Of many comparisons those with the candidate are the decisive ones; of few, all are."""
    found = [comparison for comparison in report.comparisons if comparison.suite == suite]
    candidate = summary.decisive_pair(report)[1]
    with_candidate = [pair for pair in found if candidate in (pair.baseline, pair.arm)]
    main = found if len(found) <= _FEW_PAIRS or summary.selects(report) else with_candidate
    return main if decisive else [pair for pair in found if pair not in main]


def _score_axes(report: EvaluationReport) -> dict[str, plots.Axis]:
    """One for each suite, for its first metric."""
    axes = {}
    for name in summary.suite_names(report):
        metrics = [metric for arm in report.arms if (metric := summary.first_metric(arm.suite(name)))]
        shown = [
            value
            for metric in metrics
            for value in (metric.interval.low, metric.interval.high, metric.score, *metric.repeat_scores)
        ]
        axes[name] = plots.axis_of_scores(shown, bounded=_is_bounded(report, name))
    return axes


def _difference_axes(report: EvaluationReport) -> dict[str, plots.Axis]:
    """One for all suites that are scored from 0 to 1, and one for each that is not: their units differ."""
    names = summary.suite_names(report)
    bounded = [name for name in names if _is_bounded(report, name)]
    common = plots.axis_of_differences(_ends(report.comparisons, bounded))
    return {
        name: common if name in bounded else plots.axis_of_differences(_ends(report.comparisons, [name]))
        for name in names
    }


def _ends(comparisons: Iterable[PairedComparison], suites: Sequence[str]) -> list[float]:
    return [
        end
        for comparison in comparisons
        if comparison.suite in suites
        for end in (comparison.interval.low, comparison.interval.high, comparison.difference)
    ]


def _is_bounded(report: EvaluationReport, suite: str) -> bool:
    results = [result for arm in report.arms if (result := arm.suite(suite))]
    return all(result.kind is not SuiteKind.PERPLEXITY for result in results)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fragua_evaluator.scoring.documents"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"condition": condition, "readable": summary.readable}
    environment.globals |= {"numbers": numbers, "plots": plots, "summary": summary}
    return environment
