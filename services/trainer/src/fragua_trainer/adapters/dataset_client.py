"""The dataset service as the trainer asks it, over gRPC."""

from __future__ import annotations

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from fragua_trainer.application import DatasetVersion


class DatasetClient:
    """Implements `DatasetCatalog`. The channel turns gRPC errors into the suite's own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)

    async def require_branch(self, branch: str) -> None:
        await self._stub.GetBranch(dataset_service_pb2.GetBranchRequest(name=f"branches/{branch}"))

    async def version(self, name: str) -> DatasetVersion:
        message = await self._stub.GetDatasetVersion(dataset_service_pb2.GetDatasetVersionRequest(name=name))
        state = dataset_pb2.DatasetVersionState.Name(message.state).removeprefix("DATASET_VERSION_STATE_")
        return DatasetVersion(message.name, state, message.bundle.prefix, message.bundle.manifest_sha256)
