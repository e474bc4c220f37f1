"""Asks for one example after the other until a budget is used up, and says of each answer what it is worth."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any, Final, Literal

from fragua_dataset.domain.synthesis_spec import SynthesisJobSpec, SynthesisReport
from fragua_dataset.ingestion.selection import unmet
from fragua_dataset.ingestion.shapes import example_from_row
from fragua_dataset.synthesis.answers import Unparsable, read_answer
from fragua_dataset.synthesis.generators.port import Answer, Generator, OutOfTime, Unanswered
from fragua_dataset.synthesis.journal import Entry, Journal, Outcome
from fragua_dataset.synthesis.metrics import Metric, Unscored
from fragua_dataset.synthesis.plan import Request, concept_text, messages_of, number_planned, planned_requests
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import Interrupted, Reporter

_USELESS_AT_FIRST: Final = 3
"""So many requests without any use, before one had some, will not get better by asking more."""

Ending = Literal["requests", "tokens", "seconds", "examples", "plan"]


class Generation:
    """Goes on where the journal ends."""

    def __init__(
        self, spec: SynthesisJobSpec, generator: Generator, score: Metric, journal: Journal, reporter: Reporter
    ) -> None:
        self._spec = spec.synthesis
        self._version = spec.version
        self._generator = generator
        self._score = score
        self._journal = journal
        self._reporter = reporter
        entries = journal.entries
        self._outcomes = Counter(entry.outcome for entry in entries)
        self._seen = {entry.row_id for entry in entries if entry.row}
        self._tokens = sum(entry.tokens or 0 for entry in entries)
        self._seconds = sum(entry.seconds for entry in entries)
        self._most = min(number_planned(self._spec), self._spec.budget.max_requests)

    def run(self) -> Ending:
        done = {entry.number for entry in self._journal.entries}
        self._tell()
        for request in planned_requests(self._spec):
            if request.number in done:
                continue
            if used_up := self._used_up():
                return used_up
            if self._reporter.stop_requested:
                raise Interrupted
            try:
                entry = self._ask(request)
            except OutOfTime:
                return "seconds"
            self._enter(entry)
        return self._used_up() or "plan"

    def _used_up(self) -> Ending | None:
        budget = self._spec.budget
        if budget.max_examples and self._outcomes[Outcome.KEPT] >= budget.max_examples:
            return "examples"
        if self._outcomes.total() >= budget.max_requests:
            return "requests"
        if budget.max_tokens and self._tokens >= budget.max_tokens:
            return "tokens"
        return "seconds" if budget.max_seconds and self._seconds >= budget.max_seconds else None

    def _ask(self, request: Request) -> Entry:
        spec, began = self._spec, time.monotonic()
        left = spec.budget.max_seconds - self._seconds if spec.budget.max_seconds else math.inf
        answer: Answer | None = None
        try:
            chat = messages_of(request, spec.prompt, spec.language)
            # Another seed for each, so that a question asked again gets another answer.
            answer = self._generator.answer(chat, (spec.seed + request.number) % 2**31, began + left)
            entry = self._judge(answer, request)
        except Unanswered as unanswered:
            entry = {"outcome": Outcome.UNANSWERED, "why": unanswered.reason}
        except Unparsable as unparsable:
            entry = {"outcome": Outcome.UNPARSABLE, "why": unparsable.reason}
        except Unscored as unscored:
            entry = {"outcome": Outcome.UNSCORED, "why": str(unscored)}
        tokens = answer.tokens if answer else None
        return Entry(number=request.number, tokens=tokens, seconds=round(time.monotonic() - began, 3), **entry)

    def _judge(self, answer: Answer, request: Request) -> dict[str, Any]:
        spec, variant = self._spec, request.variant
        if not answer.complete:
            raise Unparsable("cut at the most tokens")
        row = read_answer(answer.text, spec.prompt.form)
        if spec.prompt.form == "requirements":
            row = {"concept": concept_text(variant, spec.prompt, spec.language)} | row
        facts = vars(variant) | {"wording": request.wording, "model": spec.generator.model}
        example = example_from_row(row | {"metadata": facts}, self._version)
        if isinstance(example, list):
            raise Unparsable(f"no example: {example[0].code}")
        score = self._score(example.as_row())
        if score < spec.min_score:
            return {"outcome": Outcome.BELOW_SCORE, "score": score}
        if self._version.row_filter and (condition := unmet(example.as_row(), self._version.row_filter)):
            return {"outcome": Outcome.LEFT_OUT, "why": condition, "score": score}
        if example.id in self._seen:
            return {"outcome": Outcome.REPEATED, "score": score}
        metadata = facts | {"score": score, "metric": spec.metric}
        return {"outcome": Outcome.KEPT, "score": score, "row": row | {"metadata": metadata}, "row_id": example.id}

    def _enter(self, entry: Entry) -> None:
        self._journal.add(entry)
        self._outcomes[entry.outcome] += 1
        self._tokens += entry.tokens or 0
        self._seconds += entry.seconds
        if entry.row:
            self._seen.add(entry.row_id)
        self._tell()
        self._refuse_the_useless(entry)
        if entry.tokens is None and entry.outcome is not Outcome.UNANSWERED and self._spec.budget.max_tokens:
            problem = "the generator does not count tokens, so max_tokens cannot be kept; limit requests or seconds"
            raise InvalidInput(problem, reason="TOKENS_NOT_COUNTED")

    def _refuse_the_useless(self, entry: Entry) -> None:
        for outcome, of_what in (
            (Outcome.UNANSWERED, "the generator gives no answers"),
            (Outcome.UNSCORED, f"the metric {self._spec.metric!r} gives no scores"),
        ):
            if self._outcomes[outcome] == self._outcomes.total() == _USELESS_AT_FIRST:
                problem = f"{of_what}, {_USELESS_AT_FIRST} times one after the other: {entry.why}"
                raise InvalidInput(problem, reason="NOTHING_USABLE")

    def _tell(self) -> None:
        message = f"{self._outcomes[Outcome.KEPT]:,} kept, {self._tokens:,} tokens"
        self._reporter.progress("generating", self._outcomes.total(), self._most, message)


def report_of(spec: SynthesisJobSpec, journal: Journal, stopped_by: Ending) -> SynthesisReport:
    entries, synthesis = journal.entries, spec.synthesis
    outcomes = Counter(entry.outcome for entry in entries)
    scores = [entry.score for entry in entries if entry.score is not None]
    counted = [entry.tokens for entry in entries if entry.tokens is not None]

    def reasons(outcome: Outcome) -> dict[str, int]:
        return dict(sorted(Counter(entry.why for entry in entries if entry.outcome is outcome).items()))

    return SynthesisReport(
        stopped_by=stopped_by,
        asked=len(entries),
        answered=len(entries) - outcomes[Outcome.UNANSWERED],
        unanswered=reasons(Outcome.UNANSWERED),
        unparsable=reasons(Outcome.UNPARSABLE),
        unscored=outcomes[Outcome.UNSCORED],
        below_score=outcomes[Outcome.BELOW_SCORE],
        left_out=reasons(Outcome.LEFT_OUT),
        repeated=outcomes[Outcome.REPEATED],
        kept=outcomes[Outcome.KEPT],
        mean_score=sum(scores) / len(scores) if scores else None,
        tokens=sum(counted) if counted else None,
        seconds=round(sum(entry.seconds for entry in entries), 3),
        metric=synthesis.metric,
        min_score=synthesis.min_score,
        generator=synthesis.generator.kind,
        model=synthesis.generator.model,
    )
