"""What the dataset service does when it hears of something. One table to read."""

from __future__ import annotations

from fragua_dataset.application.triggers import Triggers
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.runtime import Reaction

_SUBJECTS = ("fragua.v1.*.dataset.version.ready", "fragua.v1.*.dataset.attempts.ingested")


def reactions(triggers: Triggers) -> list[Reaction]:
    async def look_at_triggers(event: CloudEvent) -> None:
        # Facts decide, not the event, and no cause fires twice: hearing of one again does no harm, and any later one
        # makes up for one that was missed.
        await triggers.look_at(event.branch)

    return [
        Reaction("dataset-triggers", _SUBJECTS, look_at_triggers),
    ]
