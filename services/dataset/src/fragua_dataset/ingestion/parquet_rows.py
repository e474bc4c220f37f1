"""Reads Parquet row group by row group: what columns hold becomes what JSON would have said."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.json_rows import parse_value, value_flaws
from fragua_dataset.ingestion.problems import Flaw, pointer_to
from fragua_dataset.ingestion.records import Record, too_long
from fragua_dataset.ingestion.shapes import FIELDS_WITH_STRUCTURE
from fragua_platform.errors import InvalidData, LimitExceeded

_ROWS_AT_ONCE = 64
_MAX_COLUMNS = 1_000
_MAX_FOOTER_TEXT, _MAX_FOOTER_ITEMS = 16 << 20, 1_000_000
_MEMORY = 2 << 30
"""What reading may take besides. The lengths in a Parquet file are claims, and its pages unpack to any size."""
_HARMLESS_BYTES = 16 << 20
_encode = msgspec.json.Encoder().encode


def parquet_rows(path: Path, spec: VersionSpec, on_read: Callable[[], None]) -> Iterator[Record]:
    """Rows are counted from 1, as lines are."""
    bombs = _BombWatch(path.stat().st_size, spec)
    number = 0
    try:
        with _memory_bounded(), _open(path) as file:
            _refuse_what_is_too_much(file, spec)
            for batch in file.iter_batches(_ROWS_AT_ONCE, use_threads=False):
                on_read()
                for row in _rows_of(batch, spec.max_depth):
                    number += 1
                    yield Record(number, bombs.measured(row))
    except (pa.ArrowException, OSError, MemoryError, ValueError) as broken:
        what = str(broken).splitlines()[0] if str(broken) else type(broken).__name__
        raise InvalidData(
            f"the Parquet file is broken after {number} rows ({what}): write and upload it again",
            reason="CORRUPT_PARQUET",
        ) from broken


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(
        path,
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_string_size_limit=_MAX_FOOTER_TEXT,
        thrift_container_size_limit=_MAX_FOOTER_ITEMS,
        arrow_extensions_enabled=False,
    )


def _refuse_what_is_too_much(file: pq.ParquetFile, spec: VersionSpec) -> None:
    if file.metadata.num_rows > spec.max_rows:
        raise LimitExceeded(f"there are more than {spec.max_rows} rows; raise max_rows or divide the file")
    if file.metadata.num_columns > _MAX_COLUMNS:
        raise LimitExceeded(f"the file has {file.metadata.num_columns} columns, expected at most {_MAX_COLUMNS}")
    names = file.schema_arrow.names
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidData(f"more than one column is named {repeated[0]!r}: rename one", reason="CORRUPT_PARQUET")


class _BombWatch:
    """A dictionary page says a text once and a few bytes repeat it for a million rows: so rows are measured."""

    def __init__(self, file_bytes: int, spec: VersionSpec) -> None:
        self._spec = spec
        self._allowed = max(_HARMLESS_BYTES, file_bytes * spec.max_unpacked_ratio)
        self._bytes = 0

    def measured(self, row: dict[str, Any] | list[Flaw]) -> dict[str, Any] | list[Flaw]:
        if isinstance(row, list):
            return row
        size = len(_encode(row))
        self._bytes += size
        if self._bytes > self._allowed:
            raise InvalidData(
                f"the Parquet file unpacks to more than {self._spec.max_unpacked_ratio} times its size, as "
                "decompression bombs do; raise max_unpacked_ratio if it is none",
                reason="DECOMPRESSION_BOMB",
            )
        if self._bytes > self._spec.max_unpacked_bytes:
            raise LimitExceeded(
                f"the Parquet file holds more than {self._spec.max_unpacked_bytes} bytes; "
                "raise max_unpacked_bytes or divide the file"
            )
        return too_long("the row", self._spec.max_line_bytes) if size > self._spec.max_line_bytes else row


def _rows_of(batch: pa.RecordBatch, max_depth: int) -> Iterator[dict[str, Any] | list[Flaw]]:
    try:
        yield from (_as_json(row, max_depth) for row in batch.to_pylist())
    except UnicodeDecodeError:
        for place in range(len(batch)):
            try:
                row = batch.slice(place, 1).to_pylist()[0]
            except UnicodeDecodeError as broken:
                message = f"a text is not UTF-8 (0x{broken.object[broken.start]:02x})"
                yield [Flaw("", ProblemCode.INVALID_UTF8, message, "write the columns as UTF-8")]
            else:
                yield _as_json(row, max_depth)


def _as_json(row: dict[str, Any], max_depth: int) -> dict[str, Any] | list[Flaw]:
    flaws: list[Flaw] = []
    values = {name: _value(value, pointer_to("", name), flaws) for name, value in row.items() if value is not None}
    for name in FIELDS_WITH_STRUCTURE & values.keys():
        if isinstance(values[name], str) and values[name].strip()[:1] in ("[", "{"):
            values[name], found = parse_value(values[name].encode("utf-8", "surrogatepass"), max_depth)
            flaws += [Flaw(f"/{name}{flaw.pointer}", flaw.code, flaw.message, flaw.hint) for flaw in found]
    return flaws + value_flaws(values, max_depth) or values


def _value(value: Any, pointer: str, flaws: list[Flaw]) -> Any:
    """Structs have all their fields in every row; a null says that the field is not there."""
    if isinstance(value, dict):
        return {
            name: _value(child, pointer_to(pointer, name), flaws) for name, child in value.items() if child is not None
        }
    if isinstance(value, list):
        return [_value(child, pointer_to(pointer, place), flaws) for place, child in enumerate(value)]
    if isinstance(value, bytes):
        return _text(value, pointer, flaws)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if value is None or isinstance(value, str | int | float):
        return value
    message = f"the value is {type(value).__name__}, which JSON does not have"
    flaws.append(Flaw(pointer, ProblemCode.INVALID_PARQUET, message, "write it as text or as a number"))
    return None


def _text(value: bytes, pointer: str, flaws: list[Flaw]) -> str:
    """Some writers do not say that their bytes are text."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        message = "the value is bytes that are no text"
        flaws.append(Flaw(pointer, ProblemCode.INVALID_PARQUET, message, "leave the column out, or write text"))
        return ""


@contextmanager
def _memory_bounded() -> Iterator[None]:
    """What would take more fails by itself, instead of taking the machine's memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    if not statm.exists():
        # Only Linux tells how much is taken already, and only its systems serve.
        yield
        return
    limit = int(statm.read_text("ascii").split()[0]) * resource.getpagesize() + _MEMORY
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
