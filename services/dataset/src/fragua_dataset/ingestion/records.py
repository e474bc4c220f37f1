"""What every container hands out: one row at a time, with the place where it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.ingestion.problems import Flaw


@dataclass(frozen=True, slots=True)
class Place:
    line: int
    """Where the row begins, counted from 1; of rows of versions their number, one version after the other."""
    index: int | None = None
    """Its place in a JSON array, counted from 0; None where every row has a line of its own."""

    def __str__(self) -> str:
        return f"line {self.line}" if self.index is None else f"element {self.index}"

    def of(self, flaw: Flaw) -> Flaw:
        """In an array, where many rows may share a line, pointers begin at the array."""
        return flaw if self.index is None else replace(flaw, pointer=f"/{self.index}{flaw.pointer}")


@dataclass(slots=True)
class Record:
    line: int
    row: dict[str, Any] | list[Flaw]
    """The row, or everything that keeps it from being one."""
    index: int | None = None

    @property
    def place(self) -> Place:
        return Place(self.line, self.index)


def too_long(what: str, max_bytes: int, hint: str = "divide the row, or raise max_line_bytes") -> list[Flaw]:
    return [Flaw("", ProblemCode.LINE_TOO_LONG, f"{what} is longer than {max_bytes} bytes", hint)]
