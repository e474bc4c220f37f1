"""One small model from rows to GGUF, over gRPC, by a client that keeps asking while things die around it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from fragua.common.v1 import job_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from fragua.evaluator.v1 import evaluator_pb2, evaluator_service_pb2, evaluator_service_pb2_grpc
from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2, exporter_service_pb2_grpc
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2, trainer_service_pb2_grpc
from fragua_platform.errors import Unavailable
from fragua_platform.grpc.client import open_channel

BRANCH = "branches/tutor"
T = TypeVar("T")
OnStatus = Callable[[str, job_pb2.JobStatus], Awaitable[None]]
"""Hears of every change: which service, and how its job stands."""

ROWS = "".join(
    json.dumps({"instruction": f"¿Cuánto es {n} más {n}, señor Núñez?", "output": f"Son {2 * n}, niño."}) + "\n"
    for n in range(60)
).encode()


class Chain:
    """The steps; each survives the absence of its service, and repeats a call with the same request id."""

    def __init__(self, endpoint: Callable[[str], str], on_status: OnStatus) -> None:
        channel = {name: open_channel(endpoint(name)) for name in ("dataset", "trainer", "evaluator", "exporter")}
        self.dataset = dataset_service_pb2_grpc.DatasetServiceStub(channel["dataset"])
        self.trainer = trainer_service_pb2_grpc.TrainerServiceStub(channel["trainer"])
        self.evaluator = evaluator_service_pb2_grpc.EvaluatorServiceStub(channel["evaluator"])
        self.exporter = exporter_service_pb2_grpc.ExporterServiceStub(channel["exporter"])
        self._channels = channel
        self._on_status = on_status

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close(None)

    async def import_dataset(self, rows: bytes = ROWS) -> dataset_pb2.DatasetVersion:
        branch = dataset_service_pb2.CreateBranchRequest(branch_id="tutor", display_name="Tutoría")
        await persistently(lambda: self.dataset.CreateBranch(branch))
        requests = _upload(rows)
        version = await persistently(lambda: self.dataset.ImportDataset(_stream(requests)))
        request = dataset_service_pb2.WatchDatasetVersionRequest(name=version.name)
        return await self._follow("dataset", lambda: self.dataset.WatchDatasetVersion(request))

    async def import_base(self, folder: Path) -> trainer_pb2.BaseModel:
        requests = list(_model_files(folder))
        return await persistently(lambda: self.trainer.ImportBaseModel(_stream(requests)))

    async def train(self, job: trainer_pb2.TrainingJob) -> trainer_pb2.TrainingJob:
        request = trainer_service_pb2.CreateTrainingJobRequest(
            parent=BRANCH, training_job=job, request_id=uuid.uuid4().hex
        )
        created = await persistently(lambda: self.trainer.CreateTrainingJob(request))
        watch = trainer_service_pb2.WatchTrainingJobRequest(name=created.name)
        return await self._follow("trainer", lambda: self.trainer.WatchTrainingJob(watch))

    async def evaluate(self, evaluation: evaluator_pb2.Evaluation) -> evaluator_pb2.Evaluation:
        request = evaluator_service_pb2.CreateEvaluationRequest(
            parent=BRANCH, evaluation=evaluation, request_id=uuid.uuid4().hex
        )
        created = await persistently(lambda: self.evaluator.CreateEvaluation(request))
        watch = evaluator_service_pb2.WatchEvaluationRequest(name=created.name)
        return await self._follow("evaluator", lambda: self.evaluator.WatchEvaluation(watch))

    async def export(self, export: exporter_pb2.Export) -> exporter_pb2.Export:
        request = exporter_service_pb2.CreateExportRequest(parent=BRANCH, export=export, request_id=uuid.uuid4().hex)
        created = await persistently(lambda: self.exporter.CreateExport(request))
        watch = exporter_service_pb2.WatchExportRequest(name=created.name)
        return await self._follow("exporter", lambda: self.exporter.WatchExport(watch))

    async def download(self, export: str, file: str) -> bytes:
        request = exporter_service_pb2.DownloadExportFileRequest(name=export, file=file)

        async def read() -> bytes:
            return b"".join([part.chunk async for part in self.exporter.DownloadExportFile(request)])

        return await persistently(read)

    async def _follow(self, service: str, watch: Callable[[], AsyncIterable[Any]]) -> Any:
        while True:
            try:
                async for resource in watch():
                    await self._on_status(service, resource.status)
                return resource
            except Unavailable:
                await asyncio.sleep(0.3)


async def persistently(call: Callable[[], Awaitable[T]], *, seconds: float = 90.0) -> T:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await call()
        except Unavailable:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.3)


def _upload(rows: bytes) -> list[dataset_service_pb2.ImportDatasetRequest]:
    header = dataset_service_pb2.ImportDatasetHeader(
        parent=f"{BRANCH}/datasets/sumas",
        request_id=uuid.uuid4().hex,
        filename="sumas.jsonl",
        sha256=hashlib.sha256(rows).hexdigest(),
    )
    chunks = [rows[start : start + 1000] for start in range(0, len(rows), 1000)]
    return [
        dataset_service_pb2.ImportDatasetRequest(header=header),
        *(dataset_service_pb2.ImportDatasetRequest(chunk=chunk) for chunk in chunks),
    ]


def _model_files(folder: Path) -> Iterator[trainer_service_pb2.ImportBaseModelRequest]:
    header = trainer_service_pb2.ImportBaseModelHeader(model_id="tiny")
    yield trainer_service_pb2.ImportBaseModelRequest(header=header)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        file = trainer_service_pb2.BaseModelFile(
            path=path.name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        yield trainer_service_pb2.ImportBaseModelRequest(file=file)
        for start in range(0, len(content), 2**19):
            yield trainer_service_pb2.ImportBaseModelRequest(chunk=content[start : start + 2**19])


async def _stream(messages: list[T]) -> AsyncIterator[T]:
    for message in messages:
        yield message
