"""The trigger service over gRPC: rules that say when a branch is due for training, and the times they fired."""

from __future__ import annotations

import re
from typing import Any

import grpc
from google.protobuf import empty_pb2

from fragua.dataset.v1 import trigger_pb2, trigger_service_pb2, trigger_service_pb2_grpc
from fragua_dataset.api.feedback_messages import exercise_type_of
from fragua_dataset.application.triggers import Triggers
from fragua_dataset.domain.triggers import (
    AccuracyCondition,
    Condition,
    Firing,
    SampleCountCondition,
    ScheduleCondition,
    Trigger,
)
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]

_NAME = re.compile(r"branches/(?P<branch>[a-z0-9-]{1,40})/triggers/(?P<trigger>[a-z0-9-]{1,40})")


class TriggerServicer(trigger_service_pb2_grpc.TriggerServiceServicer):
    def __init__(self, triggers: Triggers) -> None:
        self._triggers = triggers

    async def CreateTrigger(
        self, request: trigger_service_pb2.CreateTriggerRequest, context: Context
    ) -> trigger_pb2.Trigger:
        branch, asked = request.parent.removeprefix("branches/"), request.trigger
        condition = _condition(asked)
        return _to_message(await self._triggers.create(branch, request.trigger_id, condition, disabled=asked.disabled))

    async def GetTrigger(self, request: trigger_service_pb2.GetTriggerRequest, context: Context) -> trigger_pb2.Trigger:
        return _to_message(await self._triggers.get(*_ids(request.name)))

    async def ListTriggers(
        self, request: trigger_service_pb2.ListTriggersRequest, context: Context
    ) -> trigger_service_pb2.ListTriggersResponse:
        page = page_request(request.page_size, request.page_token, key_length=1)
        found = await self._triggers.list(request.parent.removeprefix("branches/"), page)
        return trigger_service_pb2.ListTriggersResponse(
            triggers=[_to_message(trigger) for trigger in found.items], next_page_token=found.next_token
        )

    async def UpdateTrigger(
        self, request: trigger_service_pb2.UpdateTriggerRequest, context: Context
    ) -> trigger_pb2.Trigger:
        asked = request.trigger
        condition = _condition(asked)
        return _to_message(await self._triggers.update(*_ids(asked.name), condition, disabled=asked.disabled))

    async def DeleteTrigger(
        self, request: trigger_service_pb2.DeleteTriggerRequest, context: Context
    ) -> empty_pb2.Empty:
        await self._triggers.delete(*_ids(request.name))
        return empty_pb2.Empty()

    async def ExplainTrigger(
        self, request: trigger_service_pb2.ExplainTriggerRequest, context: Context
    ) -> trigger_pb2.TriggerExplanation:
        verdict = await self._triggers.explain(*_ids(request.name))
        return trigger_pb2.TriggerExplanation(would_fire=bool(verdict.causes), why=verdict.why)

    async def ListTriggerFirings(
        self, request: trigger_service_pb2.ListTriggerFiringsRequest, context: Context
    ) -> trigger_service_pb2.ListTriggerFiringsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        found = await self._triggers.firings(*_ids(request.parent), page)
        return trigger_service_pb2.ListTriggerFiringsResponse(
            trigger_firings=[_firing_to_message(firing) for firing in found.items], next_page_token=found.next_token
        )


def _ids(name: str) -> tuple[str, str]:
    """Branch and trigger of `branches/{branch}/triggers/{trigger}`."""
    match = _NAME.fullmatch(name)
    if match is None:
        problem = Violation("trigger.name", f"{name!r} is not branches/{{branch}}/triggers/{{trigger}}")
        raise InvalidInput(problem.description, violations=[problem])
    return match["branch"], match["trigger"]


def _condition(message: trigger_pb2.Trigger) -> Condition:
    match message.WhichOneof("condition"):
        case "sample_count":
            count = message.sample_count
            exercise_type = exercise_type_of(count.exercise_type)
            return SampleCountCondition(min_samples=count.min_samples, exercise_type=exercise_type)
        case "accuracy":
            accuracy = message.accuracy
            return AccuracyCondition(min_mean_accuracy=accuracy.min_mean_accuracy, cycles=accuracy.cycles)
        case _:
            return ScheduleCondition(cron=message.schedule.cron)


def _to_message(trigger: Trigger) -> trigger_pb2.Trigger:
    message = trigger_pb2.Trigger(
        name=trigger.name, disabled=trigger.disabled, create_time=trigger.created, last_fire_time=trigger.last_fired
    )
    match trigger.condition:
        case SampleCountCondition(min_samples=min_samples, exercise_type=exercise_type):
            condition = trigger_pb2.SampleCountCondition(min_samples=min_samples, exercise_type=exercise_type)
            message.sample_count.CopyFrom(condition)
        case AccuracyCondition(min_mean_accuracy=mean, cycles=cycles):
            message.accuracy.CopyFrom(trigger_pb2.AccuracyCondition(min_mean_accuracy=mean, cycles=cycles))
        case ScheduleCondition(cron=cron):
            message.schedule.CopyFrom(trigger_pb2.ScheduleCondition(cron=cron))
    return message


def _firing_to_message(firing: Firing) -> trigger_pb2.TriggerFiring:
    return trigger_pb2.TriggerFiring(
        name=firing.name,
        cause=firing.cause,
        why=firing.why,
        dataset_versions=firing.dataset_versions,
        fire_time=firing.fired,
    )
