"""Parquet: a column for each field of a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("origin", pa.string()),
        pa.field("messages", pa.list_(_MESSAGE), nullable=False),
        pa.field("choices", pa.list_(pa.string())),
        pa.field("answer", pa.int32()),
        # What is in them differs from row to row, which columns of their own could not hold.
        pa.field("record", pa.string()),
        pa.field("metadata", pa.string(), nullable=False),
    ]
)
_GROUP_CHARS: Final = 16 * 2**20
"""Text of a row group, which is in memory at once, here and in its readers."""
_GROUP_ROWS: Final = 20_000
_encode = msgspec.json.Encoder().encode


def write_parquet(rows: Iterator[dict[str, Any]], target: Path) -> None:
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        group: list[dict[str, Any]] = []
        chars = 0
        for row in rows:
            group.append(_columns(row))
            chars += _length(group[-1])
            if chars >= _GROUP_CHARS or len(group) == _GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(group, SCHEMA))
                group, chars = [], 0
        if group:
            writer.write_table(pa.Table.from_pylist(group, SCHEMA))


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    in_json = {name: _encode(row[name]).decode() for name in ("record", "metadata") if name in row}
    return row | in_json


def _length(columns: dict[str, Any]) -> int:
    messages = sum(len(message["content"]) for message in columns["messages"])
    return messages + len(columns.get("record", "")) + len(columns["metadata"])
