"""The exporter service on a folder, as its own bootstrap wires it, beside a trainer and a dataset service that know little."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fragua.common.v1 import artifact_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2_grpc
from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2, exporter_service_pb2_grpc
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2_grpc
from fragua_exporter.bootstrap import DEFINITION, build
from fragua_exporter.settings import ExporterSettings
from fragua_platform.artifacts.bundle import publish_bundle
from fragua_platform.artifacts.open import open_artifact_store
from fragua_platform.errors import NotFound
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcServer, GrpcService
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.messages import bundle_to_message
from fragua_platform.runtime import Resources, Service, open_resources
from tests.jobs import work_of_service
from tests.servers.process import free_port

BRANCH = "branches/tutor"
ADAPTER = f"{BRANCH}/adapters/3"
BASE = "baseModels/tiny/revisions/aa"
VERSION = f"{BRANCH}/datasets/sumas/versions/20261120T120000Z"


class Trainer(trainer_service_pb2_grpc.TrainerServiceServicer):
    def __init__(self, adapter: artifact_pb2.Bundle, base: artifact_pb2.Bundle) -> None:
        self.adapter = trainer_pb2.Adapter(
            name=ADAPTER,
            state=trainer_pb2.ADAPTER_STATE_READY,
            base_model=BASE,
            bundle=adapter,
            scores=[
                trainer_pb2.AdapterScore(
                    evaluation=f"{BRANCH}/evaluations/e1",
                    metric="token_f1",
                    base_score=0.25,
                    tuned_score=0.75,
                    item_count=22,
                )
            ],
        )
        self.base = trainer_pb2.BaseModel(name=BASE, bundle=base, source="upload", warnings=["cuantizada antes"])

    async def GetAdapter(self, request: Any, context: Any) -> trainer_pb2.Adapter:
        if request.name != ADAPTER:
            raise NotFound(f"{request.name} does not exist")
        return self.adapter

    async def GetBaseModel(self, request: Any, context: Any) -> trainer_pb2.BaseModel:
        return self.base


class Datasets(dataset_service_pb2_grpc.DatasetServiceServicer):
    def __init__(self, version: artifact_pb2.Bundle) -> None:
        self.version = dataset_pb2.DatasetVersion(
            name=VERSION,
            state=dataset_pb2.DATASET_VERSION_STATE_READY,
            train_row_count=2,
            validation_row_count=1,
            bundle=version,
        )

    async def GetBranch(self, request: Any, context: Any) -> dataset_pb2.Branch:
        return dataset_pb2.Branch(name=request.name)

    async def GetDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        if request.name != VERSION:
            raise NotFound(f"{request.name} does not exist")
        return self.version


@dataclass
class ExportSite:
    stub: Any
    trainer: Trainer
    datasets: Datasets
    service: Service
    resources: Resources
    settings: ExporterSettings
    folder: Path

    async def order(self, request_id: str = "", **fields: Any) -> exporter_pb2.Export:
        request = exporter_service_pb2.CreateExportRequest(
            parent=BRANCH,
            export=exporter_pb2.Export(adapter=ADAPTER, **fields),
            request_id=request_id or uuid.uuid4().hex,
        )
        created: exporter_pb2.Export = await self.stub.CreateExport(request)
        return created

    async def finish(self, ordered: exporter_pb2.Export, files: Mapping[str, bytes]) -> exporter_pb2.Export:
        """Do a worker's part with these files for the engine's outputs; the spec and inputs lie in `job_of`."""
        jobs, database = self.service.jobs, self.resources.database
        job = await database.run(lambda connection: jobs.get(connection, ordered.name))
        [work] = await database.run(lambda connection: work_of_service(connection, DEFINITION.metadata, job))
        claim = await database.run(lambda connection: jobs.claim(connection, work, "test", timedelta(minutes=1)))
        kind, directory = self.service.kinds["export"], self.job_of(ordered)
        directory.outputs.mkdir(parents=True)
        directory.inputs.mkdir()
        await kind.prepare(claim.job, directory)
        for name, content in files.items():
            (directory.outputs / name).parent.mkdir(parents=True, exist_ok=True)
            (directory.outputs / name).write_bytes(content)
        result = await kind.publish(claim.job, directory)
        await database.run(lambda connection: jobs.succeed(connection, claim.job, result))
        return await self.get(ordered.name)

    async def get(self, name: str) -> exporter_pb2.Export:
        found: exporter_pb2.Export = await self.stub.GetExport(exporter_service_pb2.GetExportRequest(name=name))
        return found

    def job_of(self, ordered: exporter_pb2.Export) -> JobDirectory:
        return JobDirectory(self.folder / "jobs" / ordered.name.rpartition("/")[2])

    def stored(self, key: str) -> Path:
        """Where the artifact store keeps an object."""
        return self.folder / "artifacts" / key


@asynccontextmanager
async def export_site(folder: Path, base: Path, adapter: Path, **settled: Any) -> AsyncIterator[ExportSite]:
    """`settled` are settings of the service. Entered again, also after kill -9, everything is still there."""
    dataset = folder / "dataset"
    dataset.mkdir(exist_ok=True)
    row = {"id": "r1", "messages": [{"role": "user", "content": "¿Dos?"}, {"role": "assistant", "content": "Sí."}]}
    for name in ("train.jsonl", "validation.jsonl"):
        (dataset / name).write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    store = open_artifact_store(
        settled.get("artifacts_url") or (folder / "artifacts").as_uri(),
        access_key=settled.get("artifacts_access_key", ""),
        secret_key=settled.get("artifacts_secret_key", ""),
    )
    bundles = [
        bundle_to_message(await publish_bundle(store, prefix, content, {}))
        for prefix, content in (
            ("models/lora/tutor/3", adapter),
            ("models/base/tiny/aa", base),
            ("datasets/tutor/sumas/20261120T120000Z", dataset),
        )
    ]
    trainer, datasets = Trainer(*bundles[:2]), Datasets(bundles[2])  # type: ignore[abstract]
    others = [
        GrpcService(
            trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server, trainer, "fragua.trainer.v1.TrainerService"
        ),
        GrpcService(
            dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server, datasets, "fragua.dataset.v1.DatasetService"
        ),
    ]
    async with GrpcServer(others, port=free_port(), drain_seconds=0) as neighbours:
        settings = ExporterSettings.model_validate(
            {"data_dir": folder, "trainer_endpoint": neighbours.target, "dataset_endpoint": neighbours.target} | settled
        )
        async with open_resources(DEFINITION, settings) as resources:
            service = build(settings, resources)
            async with GrpcServer(service.api, port=free_port(), drain_seconds=0) as server:
                channel = open_channel(server.target)
                stub = exporter_service_pb2_grpc.ExporterServiceStub(channel)
                yield ExportSite(stub, trainer, datasets, service, resources, settings, folder)
                await channel.close(None)


def measured(file: str, content: bytes, quantization: str) -> dict[str, Any]:
    """An entry of `export_info.json`, as the engine writes it."""
    return {
        "file": file,
        "quantization": quantization,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "fallback_tensors": {"blk.0.attn_q.weight": "q5_0"},
        "verification": {
            "tokens": {"differing_texts": []},
            "logits": {"mean_kl": 0.001, "max_kl": 0.02, "top1_agreement": 0.99},
            "answer": {"text": "Sí, señor.", "ended_by": "end_of_turn", "tokens": 9, "tokens_equal_to_reference": 8},
            "task": {"rows": 1, "token_f1": 0.75, "token_f1_delta": -0.05},
        },
    }
