"""Between the protos of `fragua.trainer.v1` and the trainer's own data."""

from __future__ import annotations

from fragua.trainer.v1 import trainer_pb2
from fragua_platform.messages import bundle_to_message
from fragua_trainer.domain.registry import Adapter, AdapterState, BaseModel, Metric

_ADAPTER_STATES = {
    AdapterState.PENDING_TRAINING: trainer_pb2.ADAPTER_STATE_PENDING_TRAINING,
    AdapterState.TRAINING: trainer_pb2.ADAPTER_STATE_TRAINING,
    AdapterState.READY: trainer_pb2.ADAPTER_STATE_READY,
    AdapterState.FAILED: trainer_pb2.ADAPTER_STATE_FAILED,
}


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
        failure_class=f"FAILURE_CLASS_{adapter.failure_class.value}" if adapter.failure_class else None,
        scores=[
            trainer_pb2.AdapterScore(
                evaluation=score.evaluation,
                metric=score.metric,
                base_score=score.base_score,
                tuned_score=score.tuned_score,
                item_count=score.item_count,
                suite=score.suite,
                verdict=score.verdict,
                reasons=score.reasons,
                verification_status=score.verification_status,
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
        source=model.source,
        warnings=model.warnings,
    )


def metric_to_message(metric: Metric) -> trainer_pb2.TrainingMetric:
    return trainer_pb2.TrainingMetric(
        attempt=metric.attempt,
        step=metric.step,
        name=metric.name,
        value=metric.value,
        record_time=metric.recorded,
    )
