"""What every container hands out: one row at a time, with the place where it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.ingestion.problems import Flaw


@dataclass(slots=True)
class Record:
    line: int
    """Where the record begins, counted from 1."""
    row: dict[str, Any] | list[Flaw]
    """The row, or everything that keeps it from being one."""
    index: int | None = None
    """Its place in a JSON array, counted from 0; None where every record has a line of its own."""

    @property
    def number(self) -> int:
        """Tells the record from every other one of its file."""
        return self.line if self.index is None else self.index

    def placed(self, flaw: Flaw) -> Flaw:
        """In an array, where many rows may share a line, pointers begin at the array."""
        return flaw if self.index is None else replace(flaw, pointer=f"/{self.index}{flaw.pointer}")


def too_long(what: str, max_bytes: int, hint: str = "divide the row, or raise max_line_bytes") -> list[Flaw]:
    return [Flaw("", ProblemCode.LINE_TOO_LONG, f"{what} is longer than {max_bytes} bytes", hint)]
