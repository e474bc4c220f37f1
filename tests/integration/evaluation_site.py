"""The evaluator service on a folder, as its own bootstrap wires it, beside other services that know little."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fragua.common.v1 import artifact_pb2, job_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2_grpc
from fragua.evaluator.v1 import evaluator_pb2, evaluator_service_pb2, evaluator_service_pb2_grpc
from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2_grpc
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2_grpc
from fragua_evaluator.bootstrap import DEFINITION, build
from fragua_evaluator.settings import EvaluatorSettings
from fragua_platform.artifacts.bundle import publish_bundle
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.errors import NotFound
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcServer, GrpcService
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.messages import bundle_to_message
from fragua_platform.runtime import Resources, Service, open_resources
from tests.jobs import work_of_service
from tests.servers.process import free_port

BRANCH = "branches/ba"
ADAPTER = f"{BRANCH}/adapters/3"
BASE = "baseModels/tiny/revisions/aa"
VERSION = f"{BRANCH}/datasets/requisitos/versions/20261120T120000Z"
EXPORT = f"{BRANCH}/exports/x1"
GGUF = "ba-3-q4_k_m.gguf"


class Trainer(trainer_service_pb2_grpc.TrainerServiceServicer):
    def __init__(self, adapter: artifact_pb2.Bundle, base: artifact_pb2.Bundle) -> None:
        self.adapter = trainer_pb2.Adapter(
            name=ADAPTER,
            state=trainer_pb2.ADAPTER_STATE_READY,
            base_model=BASE,
            dataset_version=VERSION,
            bundle=adapter,
        )
        self.base = trainer_pb2.BaseModel(name=BASE, bundle=base)

    async def GetAdapter(self, request: Any, context: Any) -> trainer_pb2.Adapter:
        if request.name != ADAPTER:
            raise NotFound(f"{request.name} does not exist")
        return self.adapter

    async def GetBaseModel(self, request: Any, context: Any) -> trainer_pb2.BaseModel:
        if request.name != BASE:
            raise NotFound(f"{request.name} does not exist")
        return self.base


class Datasets(dataset_service_pb2_grpc.DatasetServiceServicer):
    def __init__(self, version: artifact_pb2.Bundle) -> None:
        self.version = dataset_pb2.DatasetVersion(
            name=VERSION,
            state=dataset_pb2.DATASET_VERSION_STATE_READY,
            train_row_count=1,
            validation_row_count=1,
            bundle=version,
        )

    async def GetBranch(self, request: Any, context: Any) -> dataset_pb2.Branch:
        return dataset_pb2.Branch(name=request.name)

    async def GetDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        if request.name != VERSION:
            raise NotFound(f"{request.name} does not exist")
        return self.version


class Exporter(exporter_service_pb2_grpc.ExporterServiceServicer):
    def __init__(self, bundle: artifact_pb2.Bundle) -> None:
        status = job_pb2.JobStatus(state=job_pb2.JOB_STATE_SUCCEEDED)
        self.export = exporter_pb2.Export(name=EXPORT, adapter=ADAPTER, status=status, bundle=bundle)

    async def GetExport(self, request: Any, context: Any) -> exporter_pb2.Export:
        if request.name != EXPORT:
            raise NotFound(f"{request.name} does not exist")
        return self.export


@dataclass
class EvaluationSite:
    stub: Any
    trainer: Trainer
    datasets: Datasets
    exporter: Exporter
    service: Service
    resources: Resources
    folder: Path

    async def order(self, *, validate_only: bool = False, **fields: Any) -> evaluator_pb2.Evaluation:
        request = evaluator_service_pb2.CreateEvaluationRequest(
            parent=BRANCH,
            evaluation=evaluator_pb2.Evaluation(**fields),
            request_id=uuid.uuid4().hex,
            validate_only=validate_only,
        )
        created: evaluator_pb2.Evaluation = await self.stub.CreateEvaluation(request)
        return created

    async def prepare(self, ordered: evaluator_pb2.Evaluation) -> dict[str, Any]:
        """Fetch what the engine needs, as a worker does; the specification that it would get."""
        job = await self.resources.database.run(lambda connection: self.service.jobs.get(connection, ordered.name))
        directory = self.job_of(ordered)
        directory.outputs.mkdir(parents=True)
        directory.inputs.mkdir()
        await self.service.kinds["evaluation"].prepare(job, directory)
        return directory.read_spec()

    async def finish(self, ordered: evaluator_pb2.Evaluation, files: Mapping[str, bytes]) -> evaluator_pb2.Evaluation:
        """Do a worker's part with these files for the engine's outputs."""
        jobs, database = self.service.jobs, self.resources.database
        job = await database.run(lambda connection: jobs.get(connection, ordered.name))
        [work] = await database.run(lambda connection: work_of_service(connection, DEFINITION.metadata, job))
        claim = await database.run(lambda connection: jobs.claim(connection, work, "test", timedelta(minutes=1)))
        directory = self.job_of(ordered)
        directory.outputs.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory.outputs / name).write_bytes(content)
        result = await self.service.kinds["evaluation"].publish(claim.job, directory)
        await database.run(lambda connection: jobs.succeed(connection, claim.job, result))
        return await self.get(ordered.name)

    async def get(self, name: str) -> evaluator_pb2.Evaluation:
        request = evaluator_service_pb2.GetEvaluationRequest(name=name)
        found: evaluator_pb2.Evaluation = await self.stub.GetEvaluation(request)
        return found

    def job_of(self, ordered: evaluator_pb2.Evaluation) -> JobDirectory:
        return JobDirectory(self.folder / "jobs" / ordered.name.rpartition("/")[2])


@asynccontextmanager
async def evaluation_site(folder: Path, **settings: Any) -> AsyncIterator[EvaluationSite]:
    row = {"id": "r1", "messages": [{"role": "user", "content": "¿Dos?"}, {"role": "assistant", "content": "Sí."}]}
    rows = json.dumps(row, ensure_ascii=False).encode() + b"\n"
    store = LocalArtifactStore(folder / "artifacts")
    adapter, base, version, export = [
        bundle_to_message(await publish_bundle(store, prefix, _folder(folder / "made" / prefix, files), {}))
        for prefix, files in (
            ("models/lora/ba/3", {"adapter_model.safetensors": b"adapter"}),
            ("models/base/tiny/aa", {"config.json": b"{}"}),
            ("datasets/ba/requisitos/20261120T120000Z", {"train.jsonl": rows, "validation.jsonl": rows}),
            ("models/gguf/ba/x1", {GGUF: b"GGUF", "Modelfile": b"FROM ./x.gguf\n"}),
        )
    ]
    trainer, datasets, exporter = Trainer(adapter, base), Datasets(version), Exporter(export)  # type: ignore[abstract]
    others = [
        GrpcService(
            trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server, trainer, "fragua.trainer.v1.TrainerService"
        ),
        GrpcService(
            dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server, datasets, "fragua.dataset.v1.DatasetService"
        ),
        GrpcService(
            exporter_service_pb2_grpc.add_ExporterServiceServicer_to_server,
            exporter,
            "fragua.exporter.v1.ExporterService",
        ),
    ]
    async with GrpcServer(others, port=free_port(), drain_seconds=0) as neighbours:
        endpoints = {f"{name}_endpoint": neighbours.target for name in ("trainer", "dataset", "exporter")}
        chosen = EvaluatorSettings.model_validate({"data_dir": folder} | endpoints | settings)
        async with open_resources(DEFINITION, chosen) as resources:
            service = build(chosen, resources)
            async with GrpcServer(service.api, port=free_port(), drain_seconds=0) as server:
                channel = open_channel(server.target)
                stub = evaluator_service_pb2_grpc.EvaluatorServiceStub(channel)
                yield EvaluationSite(stub, trainer, datasets, exporter, service, resources, folder)
                await channel.close(None)


def _folder(path: Path, files: Mapping[str, bytes]) -> Path:
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path
