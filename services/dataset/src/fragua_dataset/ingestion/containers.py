"""Finds out what kind of file this is, and picks its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BufferedReader

from fragua_dataset.domain.version_spec import Container, VersionSpec
from fragua_dataset.ingestion.csv_rows import column_names, csv_rows
from fragua_dataset.ingestion.encodings import refuse_other_encodings
from fragua_dataset.ingestion.json_array import json_array
from fragua_dataset.ingestion.json_lines import PlainBlock, json_line_keys, json_lines
from fragua_dataset.ingestion.records import Record
from fragua_platform.errors import InvalidData

PARQUET_MAGIC = b"PAR1"
_UTF8_BOM = b"\xef\xbb\xbf"
_OTHER_FORMATS = {
    b"\x1f\x8b": "a gzip archive inside another archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive inside another archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"PK\x03\x04": "a zip archive or an Office file",
    PARQUET_MAGIC: "a Parquet file, which packs its columns itself, in an archive or under the name of another format",
}
"""First bytes of what people upload besides."""

_READERS: dict[Container, Callable[[BufferedReader, VersionSpec], Iterator[Record]]] = {
    "jsonl": json_lines,
    "json": json_array,
    "csv": csv_rows,
}


def read_records(text: BufferedReader, spec: VersionSpec) -> Iterator[Record]:
    """Every record of the file in order, without a byte order mark."""
    return _READERS[_container_of(text, spec)](text, spec)


def read_keys(text: BufferedReader, spec: VersionSpec) -> Iterator[Record | PlainBlock]:
    """The same for those who want no more of good rows than to know them again."""
    container = _container_of(text, spec)
    return json_line_keys(text, spec) if container == "jsonl" else _READERS[container](text, spec)


def _container_of(text: BufferedReader, spec: VersionSpec) -> Container:
    """Refuses what is no text of ours, and steps over the mark."""
    sample = text.peek()
    _refuse_other_formats(sample)
    refuse_other_encodings(sample)
    if sample.startswith(_UTF8_BOM):
        text.read(len(_UTF8_BOM))
        sample = sample[len(_UTF8_BOM) :]
    return spec.format if spec.format != "auto" else _recognise(sample)


def _refuse_other_formats(sample: bytes) -> None:
    for magic, name in _OTHER_FORMATS.items():
        if sample.startswith(magic):
            raise InvalidData(
                f"the file is {name}, expected JSON Lines, a JSON array or CSV, plain or in gzip or zstd, or Parquet",
                reason="UNSUPPORTED_FORMAT",
            )


def _recognise(sample: bytes) -> Container:
    start = sample.lstrip(b" \t\r\n")
    if start.startswith(b"["):
        return "json"
    header = start.split(b"\n", 1)[0].decode("utf-8", "replace")
    # What begins like JSON and is broken gets better answers from the reader of JSON.
    if not any(mark in header for mark in ("{", "}", '":')):
        names = column_names(header)
        if len(names) > 1 and all(names):
            return "csv"
    return "jsonl"
