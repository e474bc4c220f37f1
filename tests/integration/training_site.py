"""The trainer service on a folder, as its own bootstrap wires it, beside a dataset service that knows two versions."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fragua.common.v1 import artifact_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2_grpc
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2, trainer_service_pb2_grpc
from fragua_platform.artifacts.bundle import publish_bundle
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.errors import NotFound
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcServer, GrpcService
from fragua_platform.jobs.job import Job
from fragua_platform.messages import bundle_to_message
from fragua_platform.runtime import Resources, Service, open_resources
from fragua_trainer.adapters.registry import Registry
from fragua_trainer.bootstrap import DEFINITION, build
from fragua_trainer.domain.registry import BaseModel
from fragua_trainer.settings import TrainerSettings
from tests.jobs import work_of_service
from tests.servers.process import free_port

BRANCH = "branches/tutor"
BASE = "baseModels/tiny/revisions/aa"
OLD = f"{BRANCH}/datasets/sumas/versions/20261120T120000Z"
NEW = f"{BRANCH}/datasets/sumas/versions/20261121T120000Z"
REJECTED = f"{BRANCH}/datasets/sumas/versions/20261122T120000Z"


class Datasets(dataset_service_pb2_grpc.DatasetServiceServicer):
    def __init__(self, bundle: artifact_pb2.Bundle) -> None:
        ready, rejected = dataset_pb2.DATASET_VERSION_STATE_READY, dataset_pb2.DATASET_VERSION_STATE_REJECTED
        self.versions = {
            name: dataset_pb2.DatasetVersion(name=name, state=state, bundle=bundle)
            for name, state in ((OLD, ready), (NEW, ready), (REJECTED, rejected))
        }

    async def GetBranch(self, request: Any, context: Any) -> dataset_pb2.Branch:
        return dataset_pb2.Branch(name=request.name)

    async def GetDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        if request.name not in self.versions:
            raise NotFound(f"{request.name} does not exist")
        return self.versions[request.name]


@dataclass
class TrainingSite:
    stub: Any
    settings: TrainerSettings
    service: Service
    resources: Resources

    async def order(self, **fields: Any) -> trainer_pb2.TrainingJob:
        request = trainer_service_pb2.CreateTrainingJobRequest(
            parent=BRANCH,
            training_job=trainer_pb2.TrainingJob(**{"dataset_version": OLD, "base_model": BASE, **fields}),
            request_id=uuid.uuid4().hex,
        )
        created: trainer_pb2.TrainingJob = await self.stub.CreateTrainingJob(request)
        return created

    async def rerun(self, job: str, **fields: Any) -> trainer_pb2.TrainingJob:
        request = trainer_service_pb2.RerunTrainingJobRequest(name=job, **{"request_id": uuid.uuid4().hex, **fields})
        again: trainer_pb2.TrainingJob = await self.stub.RerunTrainingJob(request)
        return again

    def logs(self, job: str, *, follow: bool = True) -> Any:
        request = trainer_service_pb2.StreamTrainingLogsRequest(name=job, no_follow=not follow)
        return self.stub.StreamTrainingLogs(request)

    async def all_logs(self, job: str, *, follow: bool = True) -> list[tuple[int, str]]:
        """Attempt and line."""
        return [(answer.attempt, answer.line) async for answer in self.logs(job, follow=follow)]

    # --- a worker's part

    async def claim(self, ordered: trainer_pb2.TrainingJob) -> Job:
        jobs, database = self.service.jobs, self.resources.database
        job = await database.run(lambda connection: jobs.get(connection, ordered.name))
        work = (await database.run(lambda connection: work_of_service(connection, DEFINITION.metadata, job)))[-1]
        claim = await database.run(lambda connection: jobs.claim(connection, work, "test", timedelta(minutes=1)))
        assert claim.won
        return claim.job

    async def say(self, job: Job, lines: Sequence[str]) -> None:
        kind: Any = self.service.kinds["training"]
        await self.resources.database.run(lambda connection: kind.record_log(connection, job, lines))

    async def give_back(self, job: Job) -> None:
        await self.resources.database.run(lambda connection: self.service.jobs.give_back(connection, job))


@asynccontextmanager
async def training_site(folder: Path, base: Path) -> AsyncIterator[TrainingSite]:
    dataset = folder / "dataset"
    dataset.mkdir()
    for name, numbers in (("train", range(16)), ("validation", range(16, 20))):
        rows = [json.dumps(_row(number), ensure_ascii=False) for number in numbers]
        (dataset / f"{name}.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    store = LocalArtifactStore(folder / "artifacts")
    version = await publish_bundle(store, "datasets/tutor/sumas/20261120T120000Z", dataset, {})
    bundle = await publish_bundle(store, "models/base/tiny/aa", base, {})
    datasets = Datasets(bundle_to_message(version))  # type: ignore[abstract]
    neighbour = GrpcService(
        dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server, datasets, "fragua.dataset.v1.DatasetService"
    )
    async with GrpcServer([neighbour], port=free_port(), drain_seconds=0) as server_of_datasets:
        settings = TrainerSettings.model_validate(
            {"data_dir": folder, "dataset_endpoint": server_of_datasets.target, "port": free_port()}
        )
        async with open_resources(DEFINITION, settings) as resources:
            service = build(settings, resources)
            model = BaseModel(BASE, "llama", bundle, datetime.now(UTC))
            await resources.database.run(lambda connection: Registry().add_base_model(connection, model))
            async with GrpcServer(service.api, port=free_port(), drain_seconds=0) as server:
                channel = open_channel(server.target)
                yield TrainingSite(trainer_service_pb2_grpc.TrainerServiceStub(channel), settings, service, resources)
                await channel.close(None)


def _row(number: int) -> dict[str, Any]:
    question = {"role": "user", "content": f"¿Qué número sigue al {number}?"}
    answer = {"role": "assistant", "content": f"Al {number} le sigue el {number + 1}."}
    return {"id": f"{number:016x}", "messages": [question, answer], "metadata": {}}
