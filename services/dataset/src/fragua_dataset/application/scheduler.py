"""What a clock sets off: consolidations and triggers that are due. Runs in every replica; SQL says who was first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.consolidation import Consolidations
from fragua_dataset.application.triggers import Triggers
from fragua_platform.errors import FraguaError
from fragua_platform.paging import PageRequest

log = structlog.get_logger()

_SECONDS_BETWEEN_LOOKS = 10.0
_BRANCHES_AT_ONCE = 100

Step = Callable[[str], Awaitable[None]]


class Scheduler:
    """Points that passed while nothing ran are made up for, once, at the first look."""

    def __init__(self, branches: BranchDirectory, consolidations: Consolidations, triggers: Triggers) -> None:
        self._branches = branches
        self._consolidations = consolidations
        self._triggers = triggers

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)

    async def look(self) -> None:
        """Do everything that is due now. What fails is logged and tried again at the next look."""
        try:
            async for branch in self._all_branches():
                await _attempt(self._consolidations.on_schedule, branch, "consolidation")
            for branch in await self._consolidations.unfinished_branches():
                await _attempt(self._consolidations.finish_all, branch, "consolidation")
            for branch in await self._triggers.branches_due():
                await _attempt(self._triggers.look_at, branch, "trigger")
        except FraguaError as error:
            log.warning("scheduler_waits", reason=error.reason, message=error.message)

    async def _all_branches(self) -> AsyncIterator[str]:
        request = PageRequest(_BRANCHES_AT_ONCE)
        while True:
            page = await self._branches.list(request)
            for branch in page.items:
                yield branch.id
            if not page.next_token:
                return
            request = PageRequest(_BRANCHES_AT_ONCE, (page.items[-1].id,))


async def _attempt(step: Step, branch: str, what: str) -> None:
    """One branch must not hold up the others."""
    try:
        await step(branch)
    except FraguaError as error:
        log.error("scheduled_work_failed", work=what, branch=branch, reason=error.reason, message=error.message)
