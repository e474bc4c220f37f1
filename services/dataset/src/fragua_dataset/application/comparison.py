"""What became of every row between two versions, kept on disk in the order in which it is told."""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Literal

from fragua_dataset.domain.rows import Change, Side
from fragua_platform.errors import Corrupted

Role = Literal["base", "target"]

_HEAD = re.compile(rb'\{"id":"([0-9a-f]{16})",(?:"origin":"([0-9a-f]{16})",)?')
_OFFSET = 1 << 63
"""Between hashes and the signed numbers of SQL."""
_SIDES = [*Side]

_TABLES = """
CREATE TABLE {role} (
    number INTEGER PRIMARY KEY,
    id INTEGER,      -- hash of the messages
    line INTEGER,    -- id of the row that it comes from, or its own
    content INTEGER, -- hash of all that it says
    side INTEGER,
    begin INTEGER,
    mate INTEGER     -- number of the same row in the other version
);
CREATE INDEX {role}_id ON {role} (id, number);
CREATE INDEX {role}_line ON {role} (line, number);
"""


@dataclass(frozen=True)
class Place:
    """Where one row is in its version."""

    id: str
    side: Side | None
    """None: its version was INVALID, and not divided."""
    begin: int


@dataclass(frozen=True)
class Difference:
    position: int
    """From 1, in the order of the target's rows; what was removed comes last, in the order of the base's."""
    change: Change
    base: Place | None
    target: Place | None


class Comparison:
    """Rows with the same messages are the same row; of the others, those that come from the same first row.

    Memory does not grow with the versions: about 100 bytes for each row lie in a database of its own, which has no name
    on the disk and goes with this object or its process.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"comparison-{secrets.token_hex(8)}"
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._database.close)
        self._turn = threading.Lock()
        # Indexes exist before their rows do: SQLite would sort in a folder of its own choice.
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
            + _TABLES.format(role="base")
            + _TABLES.format(role="target")
            + "CREATE TABLE difference (position INTEGER PRIMARY KEY, change TEXT, base INTEGER, target INTEGER);"
        )
        path.unlink()

    def take(self, role: Role, side: Side, rows: BufferedReader) -> None:
        """All rows of one side, the side to train on first."""
        values = ((*_described(line), _SIDES.index(side), begin) for begin, line in _with_begins(rows))
        self._database.execute("BEGIN")
        self._database.executemany(
            f"INSERT INTO {role} (id, line, content, side, begin) VALUES (?, ?, ?, ?, ?)",
            values,
        )
        self._database.execute("COMMIT")

    def conclude(self) -> None:
        """Once all rows are there."""
        for key in ("id", "line"):
            self._pair(key)
        changes = f"CASE WHEN base.content <> target.content THEN '{Change.CHANGED}' ELSE '{Change.MOVED}' END"
        self._database.executescript(
            f"""
            BEGIN;
            INSERT INTO difference (change, base, target)
            SELECT CASE WHEN target.mate IS NULL THEN '{Change.ADDED}' ELSE {changes} END, base.number, target.number
            FROM target LEFT JOIN base ON base.number = target.mate
            WHERE target.mate IS NULL OR base.content <> target.content OR base.side <> target.side
            ORDER BY target.number;
            INSERT INTO difference (change, base)
            SELECT '{Change.REMOVED}', number FROM base WHERE mate IS NULL ORDER BY number;
            COMMIT;
            """
        )

    def _pair(self, key: Literal["id", "line"]) -> None:
        """Of several rows with one key the first is paired with the first, and so on."""
        free = f"SELECT {key}, number FROM {{}} WHERE mate IS NULL ORDER BY {key}, number"
        pairs = _merged(*(self._database.execute(free.format(role)) for role in ("base", "target")))
        self._database.execute("BEGIN")
        for base, target in pairs:
            self._database.execute("UPDATE base SET mate = ? WHERE number = ?", (target, base))
            self._database.execute("UPDATE target SET mate = ? WHERE number = ?", (base, target))
        self._database.execute("COMMIT")

    def counts(self) -> dict[Change, int]:
        with self._turn:
            query = "SELECT change, count(*) FROM difference GROUP BY change"
            return {Change(change): count for change, count in self._database.execute(query)}

    def unchanged(self) -> int:
        told = self.counts()
        with self._turn:
            (paired,) = self._database.execute("SELECT count(*) FROM base WHERE mate IS NOT NULL").fetchone()
        return int(paired) - told.get(Change.CHANGED, 0) - told.get(Change.MOVED, 0)

    def differences(self, after: int, most: int) -> Sequence[Difference]:
        """Those behind position `after`."""
        query = """
            SELECT position, change, base.id, base.side, base.begin, target.id, target.side, target.begin
            FROM difference
            LEFT JOIN base ON base.number = difference.base
            LEFT JOIN target ON target.number = difference.target
            WHERE position > ? ORDER BY position LIMIT ?
        """
        with self._turn:
            found = self._database.execute(query, (after, most)).fetchall()
        return [
            Difference(position, Change(change), _place(*places[:3]), _place(*places[3:]))
            for position, change, *places in found
        ]


def _described(line: bytes) -> tuple[int, int, int]:
    head = _HEAD.match(line)
    if head is None:
        raise Corrupted("a row of the version does not begin with its id; `fragua dataset verify` tells which")
    row_id, origin = head.groups()
    content = hashlib.blake2b(line[head.end() :], digest_size=8).digest()
    return _number(row_id), _number(origin or row_id), int.from_bytes(content, "big") - _OFFSET


def _number(row_id: bytes) -> int:
    return int(row_id, 16) - _OFFSET


def _place(row_id: int | None, side: int, begin: int) -> Place | None:
    return None if row_id is None else Place(f"{row_id + _OFFSET:016x}", _SIDES[side], begin)


def _with_begins(rows: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    begin = 0
    for line in rows:
        yield begin, line
        begin += len(line)


def _merged(base: Iterator[tuple[int, int]], target: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Numbers of rows with equal keys, from pairs of key and number in order."""
    ours, theirs = next(base, None), next(target, None)
    while ours and theirs:
        if ours[0] == theirs[0]:
            yield ours[1], theirs[1]
            ours, theirs = next(base, None), next(target, None)
        elif ours[0] < theirs[0]:
            ours = next(base, None)
        else:
            theirs = next(target, None)
