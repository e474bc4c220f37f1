"""The trainer and dataset services as the exporter asks them, over gRPC."""

from __future__ import annotations

import grpc

from fragua.common.v1 import artifact_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2, trainer_service_pb2_grpc
from fragua_exporter.application.exports import Adapter, BaseModel, DatasetVersion, Published
from fragua_exporter.domain.history import Score


class TrainerClient:
    """Implements `Adapters`. The channel turns gRPC errors into the suite's own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = trainer_service_pb2_grpc.TrainerServiceStub(channel)

    async def adapter(self, name: str) -> Adapter:
        message = await self._stub.GetAdapter(trainer_service_pb2.GetAdapterRequest(name=name))
        state = trainer_pb2.AdapterState.Name(message.state).removeprefix("ADAPTER_STATE_")
        scores = tuple(
            Score(
                evaluation=score.evaluation,
                metric=f"{score.metric} ({score.suite})" if score.suite else score.metric,
                base_score=score.base_score,
                tuned_score=score.tuned_score,
                item_count=score.item_count,
                verdict=score.verdict,
                reasons=tuple(score.reasons),
                decision=score.verification_status,
            )
            for score in message.scores
        )
        return Adapter(name, state, message.base_model, _published(message.bundle), scores)

    async def base_model(self, name: str) -> BaseModel:
        message = await self._stub.GetBaseModel(trainer_service_pb2.GetBaseModelRequest(name=name))
        return BaseModel(_published(message.bundle), message.source, tuple(message.warnings))


class DatasetClient:
    """Implements `DatasetCatalog`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)

    async def require_branch(self, branch: str) -> None:
        await self._stub.GetBranch(dataset_service_pb2.GetBranchRequest(name=f"branches/{branch}"))

    async def version(self, name: str) -> DatasetVersion:
        message = await self._stub.GetDatasetVersion(dataset_service_pb2.GetDatasetVersionRequest(name=name))
        state = dataset_pb2.DatasetVersionState.Name(message.state).removeprefix("DATASET_VERSION_STATE_")
        bundle = _published(message.bundle)
        return DatasetVersion(name, state, message.train_row_count, message.validation_row_count, bundle)


def _published(bundle: artifact_pb2.Bundle) -> Published:
    return Published(bundle.prefix, bundle.manifest_sha256)
