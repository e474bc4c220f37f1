"""Takes rows in one by one: mends, selects and checks each, and lays it by until the whole can be judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.profile import Profile
from fragua_dataset.domain.version_report import FilterReport
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.checks import check_example
from fragua_dataset.ingestion.fixers import Change, fix_row
from fragua_dataset.ingestion.grouping import Strata, asked_in, group_of, rank_of
from fragua_dataset.ingestion.json_lines import PlainBlock
from fragua_dataset.ingestion.ledger import Ledger
from fragua_dataset.ingestion.problems import Flaw, ProblemLog
from fragua_dataset.ingestion.rows import Arrival
from fragua_dataset.ingestion.selection import unmet
from fragua_dataset.ingestion.shapes import Example, example_of_version
from fragua_dataset.ingestion.spool import Note, Spool
from fragua_platform.errors import LimitExceeded

_OF_CONTENT = (
    ProblemCode.QUESTION_LENGTH,
    ProblemCode.ANSWER_TOO_SHORT,
    ProblemCode.ANSWER_TOO_LONG,
    ProblemCode.BARE_ANSWER,
    ProblemCode.MOJIBAKE,
    ProblemCode.SECRET,
    ProblemCode.PERSONAL_DATA,
)
"""What `check_example` looks for in every row; in requirement records for more."""


class Intake:
    """`profile` holds the policies of the branch, too; without a spool rows are checked and forgotten."""

    def __init__(
        self, spec: VersionSpec, profile: Profile, problems: ProblemLog, ledger: Ledger, spool: Spool | None
    ) -> None:
        self.rows = 0
        """Of the source, good or bad."""
        self._spec = spec
        self._profile = profile
        self._problems = problems
        self._ledger = ledger
        self._spool = spool
        self._strata = Strata(spec.stratum_field)
        self._checks_content = bool(profile.record) or any(map(problems.weighs, _OF_CONTENT))
        self._compares_answers = problems.weighs(ProblemCode.INCONSISTENT_ANSWER)
        self._left_out: Counter[str] = Counter()

    @property
    def wants_keys_only(self) -> bool:
        """Of rows that can be read nobody wants to know more than whether they come again."""
        changes_rows = self._spec.fixers or self._spec.row_filter
        return not (self._spool or self._checks_content or changes_rows or self._spec.validation_fraction)

    def take(self, arrival: Arrival | PlainBlock) -> None:
        if isinstance(arrival, PlainBlock):
            self._count(len(arrival.keys))
            self._ledger.add_keys(arrival.first_line, arrival.keys)
            return
        self._count(1)
        if isinstance(arrival.found, list):
            self._tell(arrival, arrival.found)
            return
        example, changes = self._mended(arrival.found)
        if self._spec.row_filter and (condition := unmet(example.as_row(), self._spec.row_filter)):
            self._left_out[condition] += 1
            return
        flaws = example.flaws + (check_example(example, self._profile) if self._checks_content else [])
        group = group_of(example, self._spec.group_field)
        if isinstance(group, Flaw):
            flaws.append(group)
            group = ""
        self._tell(arrival, flaws)
        if self._spool:
            before = arrival.found.id if changes else ""
            self._spool.add(example.as_row(), Note([flaw.code for flaw in flaws], before, changes))
        self._enter(arrival, example, group)

    def filter_report(self) -> FilterReport | None:
        if self._spec.row_filter is None:
            return None
        return FilterReport(rows_kept=len(self._ledger), rows_left_out=dict(sorted(self._left_out.items())))

    def _count(self, rows: int) -> None:
        self.rows += rows
        if self.rows > self._spec.max_rows:
            raise LimitExceeded(f"there are more than {self._spec.max_rows} rows; raise max_rows or divide the file")

    def _mended(self, example: Example) -> tuple[Example, list[Change]]:
        if not self._spec.fixers:
            return example, []
        row, changes = fix_row(example.as_row(), self._spec.fixers)
        if not changes:
            return example, []
        if self._spec.source == "file":
            # The first version of a line begins with the row as it is now.
            row.pop("origin", None)
        return replace(example_of_version(row), flaws=example.flaws), changes

    def _tell(self, arrival: Arrival, flaws: list[Flaw]) -> None:
        for flaw in flaws:
            self._problems.add(arrival.place.line, arrival.place.of(flaw))

    def _enter(self, arrival: Arrival, example: Example, group: str) -> None:
        ledger = self._ledger
        ledger.ids.append(int(example.id, 16))
        ledger.add_place(arrival.place)
        ledger.groups.append(rank_of(group, self._spec.split_seed))
        ledger.strata.append(self._strata.number_of(example))
        ledger.held_out.append(arrival.side == "validation")
        if self._compares_answers:
            ledger.asked.append(asked_in(example))
