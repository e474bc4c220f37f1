"""Rows of versions that exist: the parents of a new one, and those of other datasets that it is compared with."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from fragua_dataset.domain.version_report import FileReport
from fragua_dataset.domain.version_spec import Counterpart
from fragua_dataset.ingestion.canonical import Row
from fragua_dataset.ingestion.division import Side
from fragua_dataset.ingestion.ledger import Column
from fragua_platform.errors import InvalidInput

SIDES: tuple[Side, ...] = ("train", "validation")
_ROWS_BETWEEN_GLANCES = 256
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class ParentRows:
    """The rows of all parents in their order, of each what is learnt before what is held out, with their sides."""

    def __init__(self, inputs: Path, parents: tuple[str, ...], on_read: Callable[[], None]) -> None:
        self._parents = [
            (parent, side, _existing(inputs / "parents" / str(number) / f"{side}.jsonl", parent))
            for number, parent in enumerate(parents)
            for side in SIDES
        ]
        self.size = sum(path.stat().st_size for _, _, path in self._parents)
        self.bytes_read = 0
        self._several = len(parents) > 1
        self._on_read = on_read
        self._digests = hashlib.sha256()

    def __iter__(self) -> Iterator[tuple[Row, Side]]:
        for parent, side, path in self._parents:
            digest = hashlib.sha256()
            with path.open("rb", buffering=1 << 18) as lines:
                for number, line in enumerate(lines):
                    if number % _ROWS_BETWEEN_GLANCES == 0:
                        self._on_read()
                    digest.update(line)
                    self.bytes_read += len(line)
                    row = _decode(line)
                    if self._several:
                        row["metadata"] = _with_source(row, parent)
                    yield row, side
            self._digests.update(digest.digest())

    def report(self) -> FileReport:
        return FileReport(bytes=self.bytes_read, sha256=self._digests.hexdigest())


def _with_source(row: Row, parent: str) -> dict[str, Any]:
    """Where the row was before the merge; a row that was merged before keeps saying where it came from at first."""
    given = row["metadata"].get("source")
    if isinstance(given, dict) and {"version", "row"} <= given.keys():
        return row["metadata"]
    source = {"version": parent, "row": row["id"]} | ({} if given is None else {"given": given})
    return row["metadata"] | {"source": source}


class Counterparts:
    """All rows of the versions to compare with, numbered from 0."""

    def __init__(self, inputs: Path, counterparts: tuple[Counterpart, ...], scratch: Path) -> None:
        self.ids = Column(scratch / "counterpart-ids")
        self._starts = Column(scratch / "counterpart-starts")
        self._first_rows: list[int] = []
        self._files: list[tuple[Counterpart, BinaryIO]] = []
        for counterpart in counterparts:
            for side in SIDES:
                path = inputs / "counterparts" / counterpart.folder / f"{side}.jsonl"
                self._take(counterpart, _existing(path, counterpart.version))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self) -> Iterator[Row]:
        for _, file in self._files:
            file.seek(0)
            yield from map(_decode, file)

    def row(self, number: int) -> Row:
        _, file = self._files[bisect_right(self._first_rows, number) - 1]
        file.seek(self._starts[number])
        return _decode(file.readline())

    def of(self, number: int) -> Counterpart:
        return self._files[bisect_right(self._first_rows, number) - 1][0]

    def close(self) -> None:
        for _, file in self._files:
            file.close()
        self.ids.close()
        self._starts.close()

    def _take(self, counterpart: Counterpart, path: Path) -> None:
        file = path.open("rb", buffering=1 << 18)
        self._first_rows.append(len(self.ids))
        self._files.append((counterpart, file))
        start = 0
        for line in file:
            self.ids.append(int(_decode(line)["id"], 16))
            self._starts.append(start)
            start += len(line)


def _existing(path: Path, version: str) -> Path:
    if not path.is_file():
        place = "/".join(path.parts[-4:])
        raise InvalidInput(f"{place} is missing: it is to hold rows of {version}")
    return path
