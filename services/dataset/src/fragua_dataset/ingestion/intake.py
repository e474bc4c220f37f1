"""Takes rows in one by one, checks them, and lays them by until the whole can be judged."""

from __future__ import annotations

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.canonical import row_key
from fragua_dataset.ingestion.grouping import Strata, asked_in, group_of, rank_of
from fragua_dataset.ingestion.ledger import Ledger
from fragua_dataset.ingestion.problems import Flaw, ProblemLog
from fragua_dataset.ingestion.rows import Arrival
from fragua_dataset.ingestion.shapes import Example
from fragua_dataset.ingestion.spool import Spool
from fragua_platform.errors import LimitExceeded


class Intake:
    def __init__(self, spec: VersionSpec, problems: ProblemLog, ledger: Ledger, spool: Spool) -> None:
        self.rows = 0
        """Of the source, good or bad."""
        self._spec = spec
        self._problems = problems
        self._ledger = ledger
        self._spool = spool
        self._strata = Strata(spec.stratum_field)
        self._compares_answers = problems.weighs(ProblemCode.INCONSISTENT_ANSWER)

    def take(self, arrival: Arrival) -> None:
        self.rows += 1
        if self.rows > self._spec.max_rows:
            raise LimitExceeded(f"there are more than {self._spec.max_rows} rows; raise max_rows or divide the file")
        if isinstance(arrival.found, list):
            self._tell(arrival, arrival.found)
            return
        flaws = list(arrival.found.flaws)
        group = group_of(arrival.found, self._spec.group_field)
        if isinstance(group, Flaw):
            flaws.append(group)
            group = ""
        self._tell(arrival, flaws)
        self._spool.add(arrival.found.as_row(), flaws)
        self._enter(arrival, arrival.found, group)

    def _tell(self, arrival: Arrival, flaws: list[Flaw]) -> None:
        for flaw in flaws:
            self._problems.add(arrival.place.line, arrival.place.of(flaw))

    def _enter(self, arrival: Arrival, example: Example, group: str) -> None:
        ledger = self._ledger
        ledger.ids.append(row_key(example.messages))
        ledger.add_place(arrival.place)
        ledger.groups.append(rank_of(group, self._spec.split_seed))
        ledger.strata.append(self._strata.number_of(example))
        ledger.held_out.append(arrival.side == "validation")
        if self._compares_answers:
            ledger.asked.append(asked_in(example))
