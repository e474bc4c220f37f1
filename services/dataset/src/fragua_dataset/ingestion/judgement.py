"""Judges rows beside each other: repeats, near-repeats, contradictions, and rows that other datasets hold too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_report import TruncationReport
from fragua_dataset.domain.version_spec import Counterpart, Fixer, Tokenizer, VersionSpec
from fragua_dataset.ingestion.canonical import text_of
from fragua_dataset.ingestion.division import Clusters
from fragua_dataset.ingestion.grouping import answer_to
from fragua_dataset.ingestion.ledger import Column, Ledger, Rows, equal_rows
from fragua_dataset.ingestion.near_duplicates import NearDuplicates, Pair
from fragua_dataset.ingestion.problems import Flaw, ProblemLog
from fragua_dataset.ingestion.records import Place
from fragua_dataset.ingestion.shapes import example_of_version
from fragua_dataset.ingestion.spool import Spool, decode_row
from fragua_dataset.ingestion.versions import Counterparts

_ROWS_AT_ONCE = 256
_RUNS_AT_ONCE = 1 << 14

T = TypeVar("T")


class Judge:
    """Looks at all rows for one thing after the other; what comes later does not look at rows that are left out."""

    def __init__(self, spec: VersionSpec, ledger: Ledger, spool: Spool, problems: ProblemLog) -> None:
        self.kept: NDArray[np.bool_] = np.ones(len(ledger), np.bool_)
        """By row: false for those that are left out of the version."""
        self.repeated: NDArray[np.bool_] = np.zeros(len(ledger), np.bool_)
        """By row: true for those that are equal and all kept."""
        self.repeats = 0
        """How many rows that are kept are repeats of another one."""
        self.clusters = Clusters()
        """Of groups that near-repeats tie together."""
        self._spec = spec
        self._ledger = ledger
        self._spool = spool
        self._problems = problems
        self._found_elsewhere: NDArray[np.bool_] = np.zeros(len(ledger), np.bool_)

    def leave_out_repeats(self) -> None:
        """Whoever mends rows and does not ask for repeats to go gets as many as there were, of a file that is read again, too.

        They are learnt from then: what is held out is asked once, and not what was learnt.
        """
        mends = bool(self._spec.fixers) and not self._spec.evaluation
        drops = not mends or Fixer.DROP_DUPLICATES in self._spec.fixers
        hint = "nothing to do: the repeat is left out"
        if not drops:
            hint = "none of them is held out; leave the repeat out with the fixer drop-duplicates"
        for runs in _batches(equal_rows(self._ledger.ids), size=_RUNS_AT_ONCE):
            repeats = np.concatenate([rows[1:] for rows in runs])
            firsts = np.repeat([rows[0] for rows in runs], [len(rows) - 1 for rows in runs])
            if drops:
                self.kept[repeats] = False
            else:
                self.repeated[repeats] = self.repeated[firsts] = True
                self.repeats += len(repeats)
            self._tell_repeats(repeats, firsts, hint)

    def _tell_repeats(self, repeats: Rows, firsts: Rows, hint: str) -> None:
        code = ProblemCode.DUPLICATE_EXAMPLE

        def flaw(place: Place, first: Place) -> Flaw:
            return place.of(Flaw("", code, f"the messages are those of {first}", hint))

        # In order, because what comes later than all that is listed need not be put into words.
        order = np.argsort(repeats)
        places = zip(self._ledger.places(repeats[order]), self._ledger.places(firsts[order]), strict=True)
        for place, first in places:
            self._problems.add_lazily(place.line, code, partial(flaw, place, first))

    def compare_answers(self) -> None:
        """Rows that ask the same and are answered differently."""
        if not self._problems.weighs(ProblemCode.INCONSISTENT_ANSWER):
            return
        hint = "keep the right answer, or tell the questions apart"
        for rows in equal_rows(self._ledger.asked):
            rows = rows[self.kept[rows]]
            if len(rows) < 2:
                continue
            first, answer = int(rows[0]), self._answer(int(rows[0]))
            for row in rows[1:].tolist():
                if self._answer(row) != answer:
                    message = f"{self._ledger.place(first)} asks the same and is answered differently"
                    self._tell(row, ProblemCode.INCONSISTENT_ANSWER, message, hint)

    def compare_with(self, counterparts: Counterparts) -> None:
        """Rows that other datasets hold just so."""
        if not len(counterparts):
            return
        ours = len(self._ledger)
        for rows in equal_rows(self._ledger.ids, counterparts.ids):
            theirs = rows[rows >= ours]
            if len(theirs):
                for row in rows[(rows < ours)].tolist():
                    self._tell_counterpart(row, counterparts.of(int(theirs[0]) - ours), "the row is in")

    def find_near_repeats(self, counterparts: Counterparts, scratch: Path, glance: Callable[[], None]) -> None:
        """Among our rows, and between ours and those of other datasets."""
        ours = len(self._ledger)
        if ours == 0 or not (self._problems.weighs(ProblemCode.NEAR_DUPLICATE) or len(counterparts)):
            return

        def text(number: int) -> str:
            glance()
            return text_of(self._spool.row(number) if number < ours else counterparts.row(number - ours))

        with NearDuplicates(scratch, jaccard=self._spec.profile.near_duplicate_jaccard) as near:
            for texts in _batches(self._texts(counterparts)):
                glance()
                near.add(texts)
            alike = Clusters()
            groups = self._ledger.groups
            for pair in near.pairs(text):
                if pair.second < ours:
                    self.clusters.join(groups[pair.first], groups[pair.second])
                    self._tell_near_repeat(pair)
                if len(counterparts):
                    alike.join(pair.first, pair.second)
        # Pairs form chains, so a row and one elsewhere may be alike by way of other rows only.
        elsewhere = {alike.name_of(number): number for number in alike.joined() if number >= ours}
        for row in alike.joined():
            if row < ours and (number := elsewhere.get(alike.name_of(row))) is not None:
                self._tell_counterpart(row, counterparts.of(number - ours), "nearly the same row is in")

    def may_be_held_out(self) -> NDArray[np.bool_]:
        """By row: repeats that stay are learnt from, and so is whatever must not be divided from them."""
        if not self.repeats:
            return self.kept
        clusters = self.clusters.of_rows(self._ledger.groups)
        learnt = np.unique(np.concatenate([names[self.repeated[part]] for part, names in clusters]))
        free = self.kept.copy()
        for part, names in self.clusters.of_rows(self._ledger.groups):
            free[part] &= ~np.isin(names, learnt)
        return free

    def clusters_and_strata(self, rows: NDArray[np.bool_]) -> tuple[Column, Column]:
        """Of those rows."""
        clusters, strata = self._ledger.scratch_column("clusters"), self._ledger.scratch_column("cluster-strata")
        for part, names in self.clusters.of_rows(self._ledger.groups):
            clusters.extend_with(names[rows[part]])
            strata.extend_with(self._ledger.strata[part][rows[part]])
        return clusters, strata

    def measure_truncation(self, inputs: Path, glance: Callable[[], None]) -> list[TruncationReport]:
        """What each named tokenizer cuts off at its maximum length."""
        return [self._truncation(inputs / "tokenizers" / each.name, each, glance) for each in self._spec.tokenizers]

    def _truncation(self, folder: Path, tokenizer: Tokenizer, glance: Callable[[], None]) -> TruncationReport:
        # Imported here because few versions name a tokenizer, and it takes a quarter of a second.
        from fragua_dataset.ingestion.tokens import Truncation

        truncation = Truncation(folder, tokenizer.max_length)
        hint = "shorten the row, or train with a larger maximum length"
        for rows in _batches(number for number, kept in enumerate(self.kept.data) if kept):
            glance()
            cuts = truncation.add_all([self._spool.row(row)["messages"] for row in rows])
            for row, cut in zip(rows, cuts, strict=True):
                if cut:
                    self._tell(row, ProblemCode.TRUNCATED_ANSWER, cut.description, hint)
        return truncation.report()

    def _texts(self, counterparts: Counterparts) -> Iterator[str]:
        """By row; of those that are left out nothing."""
        for row, kept in zip(map(decode_row, self._spool.lines()), self.kept.data, strict=True):
            yield text_of(row) if kept else ""
        yield from map(text_of, counterparts.rows())

    def _answer(self, row: int) -> str:
        return answer_to(example_of_version(self._spool.row(row)))

    def _tell_near_repeat(self, pair: Pair) -> None:
        message = f"{pair.jaccard:.0%} of the words in a row are those of {self._ledger.place(pair.first)}"
        hint = "delete one of them, unless the difference matters; they stay on the same side of the split"
        self._tell(pair.second, ProblemCode.NEAR_DUPLICATE, message, hint)

    def _tell_counterpart(self, row: int, other: Counterpart, found: str) -> None:
        """Once of each row: what is in another dataset is nearly in it, too."""
        if not self.kept[row] or self._found_elsewhere[row]:
            return
        self._found_elsewhere[row] = True
        if other.evaluation == self._spec.evaluation:
            hint = "delete it here or there; learnt twice it weighs twice"
            self._tell(row, ProblemCode.CROSS_DATASET_DUPLICATE, f"{found} {other.version}", hint)
        else:
            purpose = "to evaluate with" if other.evaluation else "to train on"
            hint = "delete it: what was learnt by heart proves nothing"
            self._tell(row, ProblemCode.EVALUATION_LEAK, f"{found} {other.version}, which is {purpose}", hint)

    def _tell(self, row: int, code: ProblemCode, message: str, hint: str) -> None:
        place = self._ledger.place(row)
        self._problems.add(place.line, place.of(Flaw("", code, message, hint)))


def _batches(rows: Iterable[T], size: int = _ROWS_AT_ONCE) -> Iterator[list[T]]:
    waiting = iter(rows)
    while batch := list(islice(waiting, size)):
        yield batch
