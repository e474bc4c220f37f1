"""What the evaluator does when it hears of something. One table to read."""

from __future__ import annotations

from fragua.trainer.v1 import trainer_events_pb2
from fragua_evaluator.application.evaluations import Evaluations
from fragua_evaluator.domain.evaluation_order import EvaluationOrder
from fragua_platform.events.cloudevents import CloudEvent, body_as
from fragua_platform.runtime import Reaction


def reactions(evaluations: Evaluations) -> list[Reaction]:
    async def evaluate_new_adapter(event: CloudEvent) -> None:
        """Measure an adapter as soon as it exists, when its training asked for that (R62)."""
        published = body_as(event, trainer_events_pb2.AdapterPublished)
        if not published.evaluate:
            return
        order = EvaluationOrder(adapter=published.adapter)
        # The event's id as request id: heard twice, ordered once.
        await evaluations.submit(published.branch, order, request_id=f"published-{event.id}")

    return [
        Reaction("evaluator-new-adapters", ("fragua.v1.*.trainer.adapter.published",), evaluate_new_adapter),
    ]
