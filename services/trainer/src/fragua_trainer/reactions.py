"""What the trainer does when it hears of something. One table to read."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from fragua.evaluator.v1 import evaluator_events_pb2, evaluator_pb2
from fragua_platform.database import Database
from fragua_platform.events.cloudevents import CloudEvent, body_as
from fragua_platform.events.outbox import Inbox
from fragua_platform.runtime import Reaction
from fragua_trainer.application import ModelRegistry
from fragua_trainer.domain.registry import AdapterScore

_SCORES = "trainer-scores"


def reactions(database: Database, inbox: Inbox, registry: ModelRegistry) -> list[Reaction]:
    async def keep_score(event: CloudEvent) -> None:
        await database.run(lambda connection: _keep_score(connection, inbox, registry, event))

    return [
        Reaction(_SCORES, ("fragua.v1.*.evaluator.evaluation.reported",), keep_score),
    ]


def _keep_score(connection: Connection, inbox: Inbox, registry: ModelRegistry, event: CloudEvent) -> None:
    """Show an evaluation's scores beside the adapter that it measured."""
    if not inbox.first_time(connection, _SCORES, event.id):
        return
    report = body_as(event, evaluator_events_pb2.EvaluationReported)
    _, branch, _, number = report.adapter.split("/")
    score = AdapterScore(
        evaluation=report.evaluation,
        metric=evaluator_pb2.Metric.Name(report.metric).removeprefix("METRIC_").lower(),
        base_score=report.result.base.score,
        tuned_score=report.result.tuned.score,
        item_count=report.result.tuned.item_count,
    )
    registry.add_score(connection, registry.adapter(connection, branch, int(number)), score)
