"""The port between the common life of a job and what one service makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from sqlalchemy.engine import Connection

from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job


class JobKind(Protocol):
    """What a service adds to the common life of a job."""

    engine: str
    """Module to run as `python -m <engine> JOB_DIR`."""

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        """Fetch and verify the inputs, write spec.json. May run again for the same job."""
        ...

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        """Upload the outputs, manifest last, and return the job's result. May run again for the same job."""
        ...

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        """Keep what a failed engine left that explains the failure; becomes the failed job's result."""
        ...

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        """The result of a former attempt that published everything and died before it could say so."""
        ...

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """Keep measured values; in the transaction of the progress."""
        ...


@runtime_checkable
class LogKeeper(Protocol):
    """A kind whose users read what the engine says while it works."""

    def record_log(self, connection: Connection, job: Job, lines: Sequence[str]) -> None:
        """Keep what the engine said, in order; in the transaction of the progress."""
        ...
