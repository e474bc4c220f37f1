"""Where the rows of a new version come from: a file in any container and shape, or the versions it is derived from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fragua_dataset.domain.version_report import FileReport
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.containers import PARQUET_MAGIC, read_keys, read_records
from fragua_dataset.ingestion.division import Side
from fragua_dataset.ingestion.json_lines import PlainBlock
from fragua_dataset.ingestion.problems import Flaw
from fragua_dataset.ingestion.records import Place, Record
from fragua_dataset.ingestion.shapes import Example, example_from_row, example_of_version
from fragua_dataset.ingestion.source import SourceFile
from fragua_dataset.ingestion.versions import ParentRows


@dataclass(slots=True)
class Arrival:
    place: Place
    found: Example | list[Flaw]
    side: Side = "train"
    """On which side the row was in its parent version."""


class Source(Protocol):
    """What the engine reads once, from start to end."""

    size: int
    """In bytes."""

    @property
    def bytes_read(self) -> int: ...

    def arrivals(self, *, keys_only: bool) -> Iterator[Arrival | PlainBlock]:
        """With `keys_only` good rows may come as no more than what they are known by."""
        ...

    def report(self) -> FileReport:
        """Of all bytes, also of those that nobody asked for."""
        ...

    def close(self) -> None: ...


def open_source(inputs: Path, spec: VersionSpec, on_read: Callable[[], None]) -> Source:
    """`on_read` is called before each buffer of bytes is read, so it may report, or stop the engine."""
    if spec.source == "versions":
        return VersionSource(ParentRows(inputs, spec.parents, on_read))
    return FileSource(SourceFile(inputs / "source", on_read), spec)


class FileSource:
    def __init__(self, file: SourceFile, spec: VersionSpec) -> None:
        self.size = file.size
        self._file = file
        self._spec = spec

    @property
    def bytes_read(self) -> int:
        return self._file.bytes_read

    def arrivals(self, *, keys_only: bool) -> Iterator[Arrival | PlainBlock]:
        for record in self._records(keys_only):
            if isinstance(record, PlainBlock):
                yield record
            else:
                found = example_from_row(record.row, self._spec) if isinstance(record.row, dict) else record.row
                yield Arrival(record.place, found)

    def _records(self, keys_only: bool) -> Iterator[Record | PlainBlock]:
        if self._spec.format == "parquet" or (self._spec.format == "auto" and self._file.starts_with(PARQUET_MAGIC)):
            # Imported here because most files are none, and it takes 40 MB.
            from fragua_dataset.ingestion.parquet_rows import parquet_rows

            return parquet_rows(self._file.path, self._spec, self._file.on_read)
        text = self._file.text(self._spec)
        return read_keys(text, self._spec) if keys_only else read_records(text, self._spec)

    def report(self) -> FileReport:
        return self._file.report()

    def close(self) -> None:
        self._file.close()


class VersionSource:
    def __init__(self, parents: ParentRows) -> None:
        self.size = parents.size
        self._parents = parents

    @property
    def bytes_read(self) -> int:
        return self._parents.bytes_read

    def arrivals(self, *, keys_only: bool) -> Iterator[Arrival | PlainBlock]:
        for number, (row, side) in enumerate(self._parents, 1):
            yield Arrival(Place(number), example_of_version(row), side)

    def report(self) -> FileReport:
        return self._parents.report()

    def close(self) -> None:
        """The parents' files are closed one by one."""
