"""What training jobs say while they go on: the lines so far, and then each new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_platform.database import Database
from fragua_platform.jobs.desk import JobDesk
from fragua_trainer.domain.log_line import LogLine

_FOLLOW_SECONDS = 0.5
_LINES_AT_ONCE = 500


class RunLog(Protocol):
    """Each call in the caller's transaction."""

    def after(self, connection: Connection, training_job: str, number: int, limit: int) -> Sequence[LogLine]: ...


class Logs:
    def __init__(self, database: Database, desk: JobDesk, lines: RunLog) -> None:
        self._database = database
        self._desk = desk
        self._lines = lines

    async def stream(self, name: str, *, follow: bool) -> AsyncIterator[LogLine]:
        """The lines that are kept; with `follow` the coming ones, too, until the job has ended."""
        told = 0
        while True:
            # First the job: when it has ended before the lines are read, no line is missing among them.
            job = await self._desk.get(name)
            lines = await self._read(name, told)
            for line in lines:
                yield line
                told = line.number
            if len(lines) == _LINES_AT_ONCE:
                continue
            if not follow or job.state.terminal:
                return
            await asyncio.sleep(_FOLLOW_SECONDS)

    async def _read(self, name: str, after: int) -> Sequence[LogLine]:
        return await self._database.run(lambda connection: self._lines.after(connection, name, after, _LINES_AT_ONCE))
