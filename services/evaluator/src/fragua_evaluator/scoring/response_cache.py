"""Answers of earlier evaluations: the same model, prompt, decoding and repeat need not be asked again."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from fragua_evaluator.domain.report import Answer, Ending

log = logging.getLogger(__name__)

_FILE = "responses.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (key BLOB PRIMARY KEY, answer TEXT NOT NULL, kept REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS responses_by_age ON responses (kept);
"""
_BUSY_SECONDS = 10.0


def cache_key(digest: str, prompt_digest: str, decoding: dict[str, Any]) -> bytes:
    """`decoding` is everything that decides an answer besides model and prompt, the repeat included."""
    said = json.dumps([digest, prompt_digest, decoding], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).digest()


class ResponseCache:
    """A file that the workers of one machine share. It saves time and is nobody's truth: when it is damaged or cannot
    be written, evaluations go on without it."""

    def __init__(self, connection: sqlite3.Connection | None, limit_bytes: int) -> None:
        self._connection = connection
        self._limit_bytes = limit_bytes

    @classmethod
    def open(cls, folder: str, limit_mib: int) -> Self:
        if not folder:
            return cls(None, 0)
        path = Path(folder) / _FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(_connect(path), limit_mib * 2**20)
        except sqlite3.DatabaseError as damaged:
            log.warning("the response cache %s is damaged and begun anew: %s", path, damaged)
            path.unlink(missing_ok=True)
            return cls(_connect(path), limit_mib * 2**20)
        except OSError as unwritable:
            log.warning("no response cache at %s: %s", path, unwritable)
            return cls(None, 0)

    def find(self, key: bytes) -> Answer | None:
        if self._connection is None:
            return None
        try:
            row = self._connection.execute("SELECT answer FROM responses WHERE key = ?", (key,)).fetchone()
            return Answer.model_validate_json(row[0]).model_copy(update={"cached": True}) if row else None
        except (sqlite3.Error, ValidationError):
            return None

    def keep(self, key: bytes, answer: Answer) -> None:
        if self._connection is None or answer.ending is Ending.FAILED or answer.cached:
            return
        try:
            row = (key, answer.model_dump_json(), time.time())
            self._connection.execute("INSERT OR REPLACE INTO responses VALUES (?, ?, ?)", row)
        except sqlite3.Error as full:
            log.warning("answers are no longer kept for later: %s", full)
            self.close()

    def close(self) -> None:
        """Make room where the limit is passed, and let go of the file."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with closing(connection):
            try:
                while _size(connection) > self._limit_bytes:
                    oldest = "SELECT key FROM responses ORDER BY kept LIMIT (SELECT 1 + COUNT(*) / 10 FROM responses)"
                    connection.execute(f"DELETE FROM responses WHERE key IN ({oldest})")
            except sqlite3.Error as error:
                log.warning("the response cache could not be made smaller: %s", error)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(_SCHEMA)
    return connection


def _size(connection: sqlite3.Connection) -> int:
    """Of the answers; pages that deletions freed are used again and do not count."""
    (used,) = connection.execute(
        "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    ).fetchone()
    (rows,) = connection.execute("SELECT COUNT(*) FROM responses").fetchone()
    return int(used) if rows else 0
