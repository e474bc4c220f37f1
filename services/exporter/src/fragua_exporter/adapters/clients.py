"""The trainer and dataset services as the exporter asks them, over gRPC."""

from __future__ import annotations

import grpc

from fragua.common.v1 import artifact_pb2
from fragua.dataset.v1 import dataset_service_pb2, dataset_service_pb2_grpc
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2, trainer_service_pb2_grpc
from fragua_exporter.application.exports import Adapter, Published


class TrainerClient:
    """Implements `Adapters`. The channel turns gRPC errors into the suite's own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = trainer_service_pb2_grpc.TrainerServiceStub(channel)

    async def adapter(self, name: str) -> Adapter:
        message = await self._stub.GetAdapter(trainer_service_pb2.GetAdapterRequest(name=name))
        state = trainer_pb2.AdapterState.Name(message.state).removeprefix("ADAPTER_STATE_")
        return Adapter(name, state, message.base_model, _published(message.bundle))

    async def base_model(self, name: str) -> Published:
        message = await self._stub.GetBaseModel(trainer_service_pb2.GetBaseModelRequest(name=name))
        return _published(message.bundle)


class DatasetClient:
    """Implements `BranchDirectory`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)

    async def require_branch(self, branch: str) -> None:
        await self._stub.GetBranch(dataset_service_pb2.GetBranchRequest(name=f"branches/{branch}"))


def _published(bundle: artifact_pb2.Bundle) -> Published:
    return Published(bundle.prefix, bundle.manifest_sha256)
