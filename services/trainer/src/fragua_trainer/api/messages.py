"""Between the protos of `fragua.trainer.v1` and the trainer's own data."""

from __future__ import annotations

from typing import Any

from fragua.trainer.v1 import trainer_pb2
from fragua_platform.jobs.events import status_to_message
from fragua_platform.jobs.job import Job
from fragua_platform.messages import bundle_to_message
from fragua_trainer.domain.registry import Adapter, AdapterState, BaseModel, Metric
from fragua_trainer.domain.training_order import ResolvedOrder, TrainingOrder
from fragua_trainer.domain.training_spec import (
    LoggingSpec,
    LoraSpec,
    Precision,
    SchedulerShape,
    ScheduleSpec,
    TrainingSpec,
)

_PRECISIONS = {
    trainer_pb2.PRECISION_UNSPECIFIED: Precision.AUTO,
    trainer_pb2.PRECISION_FP32: Precision.FP32,
    trainer_pb2.PRECISION_BF16: Precision.BF16,
}
_SCHEDULERS = {
    trainer_pb2.SCHEDULER_UNSPECIFIED: SchedulerShape.COSINE,
    trainer_pb2.SCHEDULER_COSINE: SchedulerShape.COSINE,
    trainer_pb2.SCHEDULER_LINEAR: SchedulerShape.LINEAR,
    trainer_pb2.SCHEDULER_CONSTANT: SchedulerShape.CONSTANT,
}
_ADAPTER_STATES = {
    AdapterState.PENDING_TRAINING: trainer_pb2.ADAPTER_STATE_PENDING_TRAINING,
    AdapterState.TRAINING: trainer_pb2.ADAPTER_STATE_TRAINING,
    AdapterState.READY: trainer_pb2.ADAPTER_STATE_READY,
    AdapterState.FAILED: trainer_pb2.ADAPTER_STATE_FAILED,
}
_LOGGING_FIELDS = ("log_steps", "save_steps", "eval_steps")
"""What the message has in its schedule and the specification in `logging`."""


def order_from_message(message: trainer_pb2.TrainingJob) -> TrainingOrder:
    """Absent fields take the defaults of the specification, which are documented there."""
    schedule = _present(message.schedule, without=_LOGGING_FIELDS)
    schedule["scheduler"] = _SCHEDULERS[message.schedule.scheduler]
    spec = TrainingSpec(
        lora=LoraSpec(**_present(message.lora)),
        schedule=ScheduleSpec(**schedule),
        logging=LoggingSpec(**_present(message.schedule, only=_LOGGING_FIELDS)),
        precision=_PRECISIONS[message.precision],
    )
    return TrainingOrder(
        dataset_version=message.dataset_version,
        base_model=message.base_model,
        spec=spec,
        evaluate_after=message.evaluate_after,
    )


def _present(message: Any, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that the client set."""
    fields = {descriptor.name: value for descriptor, value in message.ListFields()}
    return {name: value for name, value in fields.items() if (not only or name in only) and name not in without}


def job_to_message(job: Job, adapter: Adapter | None) -> trainer_pb2.TrainingJob:
    order = ResolvedOrder.model_validate(job.spec).order
    schedule, logging = order.spec.schedule, order.spec.logging
    precision = next(number for number, value in _PRECISIONS.items() if value is order.spec.precision)
    return trainer_pb2.TrainingJob(
        name=job.name,
        dataset_version=order.dataset_version,
        base_model=order.base_model,
        lora=trainer_pb2.LoraSpec(
            **order.spec.lora.model_dump(exclude={"bias"}), bias=f"LORA_BIAS_{order.spec.lora.bias.value.upper()}"
        ),
        schedule=trainer_pb2.Schedule(
            **schedule.model_dump(exclude={"scheduler"}),
            scheduler=f"SCHEDULER_{schedule.scheduler.value.upper()}",
            log_steps=logging.log_steps,
            save_steps=logging.save_steps,
            eval_steps=logging.eval_steps,
        ),
        precision=precision,
        evaluate_after=order.evaluate_after,
        status=status_to_message(job),
        adapter=adapter.name if adapter else "",
    )


def adapter_to_message(adapter: Adapter) -> trainer_pb2.Adapter:
    return trainer_pb2.Adapter(
        name=adapter.name,
        state=_ADAPTER_STATES[adapter.state],
        training_job=adapter.training_job,
        dataset_version=adapter.dataset_version,
        base_model=adapter.base_model,
        bundle=bundle_to_message(adapter.bundle) if adapter.bundle else None,
        trainable_parameters=adapter.trainable_parameters,
        final_loss=adapter.final_loss,
        validation_loss=adapter.validation_loss,
        create_time=adapter.created,
        ready_time=adapter.ready,
        scores=[
            trainer_pb2.AdapterScore(
                evaluation=score.evaluation,
                metric=score.metric,
                base_score=score.base_score,
                tuned_score=score.tuned_score,
                item_count=score.item_count,
            )
            for score in adapter.scores
        ],
    )


def base_model_to_message(model: BaseModel) -> trainer_pb2.BaseModel:
    return trainer_pb2.BaseModel(
        name=model.name,
        architecture=model.architecture,
        bundle=bundle_to_message(model.bundle),
        create_time=model.created,
    )


def metric_to_message(metric: Metric) -> trainer_pb2.TrainingMetric:
    return trainer_pb2.TrainingMetric(
        attempt=metric.attempt,
        step=metric.step,
        name=metric.name,
        value=metric.value,
        record_time=metric.recorded,
    )
