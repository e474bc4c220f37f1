"""The other services as the evaluator asks them, over gRPC."""

from __future__ import annotations

import grpc

from fragua.common.v1 import artifact_pb2, job_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from fragua.exporter.v1 import exporter_service_pb2, exporter_service_pb2_grpc
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2, trainer_service_pb2_grpc
from fragua_evaluator.application.ports import Adapter, DatasetVersion, Export, Published


class TrainerClient:
    """Implements `Adapters`. The channel turns gRPC errors into the suite's own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = trainer_service_pb2_grpc.TrainerServiceStub(channel)

    async def adapter(self, name: str) -> Adapter:
        message = await self._stub.GetAdapter(trainer_service_pb2.GetAdapterRequest(name=name))
        state = trainer_pb2.AdapterState.Name(message.state).removeprefix("ADAPTER_STATE_")
        return Adapter(name, state, message.dataset_version, message.base_model, _published(message.bundle))

    async def base_model(self, name: str) -> Published:
        message = await self._stub.GetBaseModel(trainer_service_pb2.GetBaseModelRequest(name=name))
        return _published(message.bundle)


class DatasetClient:
    """Implements `DatasetCatalog`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)

    async def require_branch(self, branch: str) -> None:
        await self._stub.GetBranch(dataset_service_pb2.GetBranchRequest(name=f"branches/{branch}"))

    async def version(self, name: str) -> DatasetVersion:
        message = await self._stub.GetDatasetVersion(dataset_service_pb2.GetDatasetVersionRequest(name=name))
        state = dataset_pb2.DatasetVersionState.Name(message.state).removeprefix("DATASET_VERSION_STATE_")
        return DatasetVersion(name, state, message.validation_row_count, _published(message.bundle))


class ExporterClient:
    """Implements `Exports`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = exporter_service_pb2_grpc.ExporterServiceStub(channel)

    async def export(self, name: str) -> Export:
        message = await self._stub.GetExport(exporter_service_pb2.GetExportRequest(name=name))
        state = job_pb2.JobState.Name(message.status.state).removeprefix("JOB_STATE_")
        files = frozenset(file.key.rpartition("/")[2] for file in message.bundle.files)
        return Export(name, state, message.adapter, files, _published(message.bundle))


def _published(bundle: artifact_pb2.Bundle) -> Published:
    return Published(bundle.prefix, bundle.manifest_sha256)
