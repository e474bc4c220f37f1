"""Waiting for dependencies that come and go: a restarted server must not cost hours of work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import structlog

from fragua_platform.errors import Unavailable

log = structlog.get_logger()
T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0


async def patiently(work: Callable[[], Awaitable[T]], patience: timedelta) -> T:
    """Do `work`, again and again while it raises `Unavailable`, for up to `patience`; then let that through."""
    deadline = asyncio.get_running_loop().time() + patience.total_seconds()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await work()
        except Unavailable as error:
            if asyncio.get_running_loop().time() + pause > deadline:
                raise
            log.warning("dependency_away", reason=error.reason, message=error.message)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
