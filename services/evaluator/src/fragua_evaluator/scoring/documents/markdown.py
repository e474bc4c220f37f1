"""`report.md`: the whole report as text that reads well unrendered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fragua_evaluator.domain.report import EvaluationReport, ItemRecord
from fragua_evaluator.domain.verdict import Outcome, ReasonState
from fragua_evaluator.domain.votes import report_digest
from fragua_evaluator.scoring.documents import numbers, summary
from fragua_evaluator.scoring.documents.before_after import Row
from fragua_evaluator.scoring.documents.summary import ItemFacts

MARKDOWN_FILE = "report.md"

SHOWN_LOSSES = 5
"""Items whose answers are printed in full length, up to the cut."""
MAX_CELL_CHARS = 400
MAX_BLOCK_CHARS = 2_000

OUTCOME_WORDS = {Outcome.GO: "GO", Outcome.NO_GO: "NO GO", Outcome.INCONCLUSIVE: "INCONCLUSIVE"}
STATE_WORDS = {
    ReasonState.MET: "✓ met",
    ReasonState.UNMET: "✗ unmet",
    ReasonState.UNDECIDED: "? undecided",
    ReasonState.NOT_MEASURED: "– not measured",
}

_ALWAYS_MARKUP = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
"""Signs that may begin markup anywhere; an underscore does only at the edge of a word."""
_MARKUP_AT_START = re.compile(r"^(#+|[+-]|\d+(?=[.)]))(?=[.)]?(\s|$))")
"""What makes a heading or a list of a line that begins so."""
_LINE_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BACKTICKS = re.compile("`+")


class Markdown(str):
    """Text that is Markdown already; everything else is escaped on its way into a template."""

    __slots__ = ()


def escape(value: object) -> Markdown:
    """`value` as it stands, whatever it holds: on one line, without markup, links, images or HTML."""
    if isinstance(value, Markdown):
        return value
    text = _DIRECTIONS.sub(_visible, _LINE_BREAKS.sub(" ", _cut(str(value), MAX_CELL_CHARS)))
    text = _ALWAYS_MARKUP.sub(r"\\\g<0>", text.strip())
    text = _MARKUP_AT_START.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", text)
    # Renderers such as GitHub's make links of bare addresses.
    for sign, entity in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("@", "&#64;"),
        ("://", "&#58;//"),
        ("www.", "www&#46;"),
    ):
        text = text.replace(sign, entity)
    return Markdown(text)


def block(text: str) -> Markdown:
    """A fenced block that no content can end."""
    text = _DIRECTIONS.sub(_visible, _cut(text, MAX_BLOCK_CHARS)).replace("\r", "")
    fence = "`" * max(3, 1 + max((len(run) for run in _BACKTICKS.findall(text)), default=0))
    return Markdown(f"{fence}text\n{text}\n{fence}")


def _visible(sign: re.Match[str]) -> str:
    return f"[U+{ord(sign.group()):04X}]"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} … (cut, {numbers.count(len(text))} characters)"


def condition(value: Any) -> str:
    """A condition of an arm or of all: a text, a number, a list, or some of these by name."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(condition(part) for part in value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {condition(part)}" for name, part in value.items())
    return json.dumps(value, ensure_ascii=False, default=str)


def write_markdown(
    report: EvaluationReport, facts: ItemFacts, changes: Sequence[Row], items: Callable[[], Iterator[ItemRecord]]
) -> str:
    template = _environment().get_template("report.md.j2")
    return template.render(
        report=report,
        digest=report_digest(report),
        facts=facts,
        changes=changes,
        losses=list(_largest_losses(report, items)),
        pair=summary.decisive_pair(report),
        outcome_words=OUTCOME_WORDS,
        state_words=STATE_WORDS,
    )


def _largest_losses(
    report: EvaluationReport, items: Callable[[], Iterator[ItemRecord]]
) -> Iterator[tuple[ItemRecord, str, str]]:
    """The first of the worsened items with what both arms answered, in the order of the analysis."""
    analysis = report.error_analysis
    if analysis is None:
        return
    wanted = analysis.worsened_items[:SHOWN_LOSSES]
    found = {name: item for item in items() if (name := f"{item.suite}/{item.id}") in wanted} if wanted else {}
    for item in (found[name] for name in wanted if name in found):
        yield item, answer_text(item, analysis.baseline), answer_text(item, analysis.candidate)


def answer_text(item: ItemRecord, arm: str) -> str:
    """The first repeat's answer, the choice that it found likeliest, or why there is none."""
    answer = item.arms[arm].answers[0] if arm in item.arms and item.arms[arm].answers else None
    if answer is None:
        return "(no answer)"
    if answer.choice_log_likelihoods and item.choices and len(item.choices) == len(answer.choice_log_likelihoods):
        likeliest = max(answer.choice_log_likelihoods)
        return item.choices[answer.choice_log_likelihoods.index(likeliest)]
    if answer.log_likelihood is not None:
        return f"log-likelihood of the expected answer: {answer.log_likelihood:.2f}, {answer.tokens} tokens"
    return answer.failure or answer.text or "(an empty answer)"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fragua_evaluator.scoring.documents"),
        autoescape=False,  # that is HTML's; `finalize` escapes every value that a template prints
        finalize=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "block": block,
        "condition": condition,
        "readable": summary.readable,
        "score": numbers.score,
    }
    environment.globals |= {"numbers": numbers, "summary": summary}
    return environment
