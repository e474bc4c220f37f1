"""The four services on a free block of ports, each with just the behaviour that the tests of the command line need.

They run on the platform's real server, so validation, error statuses and draining are the real ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from fragua.common.v1 import artifact_pb2, job_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from fragua.evaluator.v1 import evaluator_pb2, evaluator_service_pb2, evaluator_service_pb2_grpc, suite_pb2
from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2, exporter_service_pb2_grpc
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2, trainer_service_pb2_grpc
from fragua_cli.demo.embedded import free_ports
from fragua_platform.errors import EngineFailure, FailureClass, InvalidData, NotFound, Unavailable
from fragua_platform.grpc.server import GrpcServer, GrpcService
from fragua_platform.grpc.status import status_proto

EXPORT = "branches/tutor/exports/x1"
GGUF = bytes(range(256)) * 4096
OLD, NEW = "20261101T000000Z", "20261102T000000Z"


class Datasets(dataset_service_pb2_grpc.DatasetServiceServicer):
    def __init__(self) -> None:
        self.received = b""
        self.headers: list[dataset_service_pb2.ImportDatasetHeader] = []
        self.refuse_uploads = 0
        self.break_after = 0
        self.kept = b""
        self.branch_names = ["tutor"]
        self.asked: list[Any] = []
        """Requests to derive, review and sign, in order."""
        self.faults: list[str] = []

    async def CreateBranch(self, request: Any, context: Any) -> dataset_pb2.Branch:
        return dataset_pb2.Branch(name=f"branches/{request.branch_id}", display_name=request.display_name)

    async def GetBranch(self, request: Any, context: Any) -> dataset_pb2.Branch:
        raise NotFound(f"{request.name} does not exist")

    async def ListBranches(self, request: Any, context: Any) -> dataset_service_pb2.ListBranchesResponse:
        """One branch per page."""
        page = int(request.page_token or 0)
        more = page + 1 < len(self.branch_names)
        return dataset_service_pb2.ListBranchesResponse(
            branches=[dataset_pb2.Branch(name=f"branches/{self.branch_names[page]}")],
            next_page_token=str(page + 1) if more else "",
        )

    async def GetUpload(self, request: Any, context: Any) -> dataset_service_pb2.Upload:
        if not self.kept:
            raise NotFound("nothing is kept")
        return dataset_service_pb2.Upload(received_bytes=len(self.kept))

    async def ImportDataset(self, request_iterator: AsyncIterator[Any], context: Any) -> dataset_pb2.DatasetVersion:
        received = b""
        async for request in request_iterator:
            if request.WhichOneof("payload") == "header":
                self.headers.append(request.header)
                received = self.kept[: request.header.offset]
            received += request.chunk
            if self.break_after and len(received) >= self.break_after:
                self.break_after = 0
                self.kept = received
                await context.abort(grpc.StatusCode.ABORTED, "the connection broke")
        if self.refuse_uploads:
            self.refuse_uploads -= 1
            # Of the same family as UNAVAILABLE for us, but gRPC does not send it again by itself.
            await context.abort(grpc.StatusCode.ABORTED, "the connection broke")
        self.received = received
        return dataset_pb2.DatasetVersion(name=f"{self.headers[-1].parent}/versions/{NEW}")

    async def WatchDatasetVersion(self, request: Any, context: Any) -> AsyncIterator[dataset_pb2.DatasetVersion]:
        if "/malo/" not in request.name:
            yield dataset_pb2.DatasetVersion(
                name=request.name,
                state=dataset_pb2.DATASET_VERSION_STATE_READY,
                status=job(job_pb2.JOB_STATE_SUCCEEDED),
                train_row_count=8,
                validation_row_count=2,
            )
            return
        failure = InvalidData("2 errors in 3 rows", failure_class=FailureClass.USER_DATA)
        status = job(
            job_pb2.JOB_STATE_FAILED, error=status_proto(failure), failure_class=job_pb2.FAILURE_CLASS_USER_DATA
        )
        yield dataset_pb2.DatasetVersion(name=request.name, status=status, problem_count=2)

    async def ListDatasetProblems(self, request: Any, context: Any) -> dataset_service_pb2.ListDatasetProblemsResponse:
        problem = dataset_pb2.DatasetProblem(
            line=17, pointer="/messages/2/role", code="UNKNOWN_ROLE", message="'bot' is no role", hint="say assistant"
        )
        return dataset_service_pb2.ListDatasetProblemsResponse(problems=[problem], count_by_code={"UNKNOWN_ROLE": 1200})

    async def ListDatasetVersions(self, request: Any, context: Any) -> dataset_service_pb2.ListDatasetVersionsResponse:
        states = {
            NEW: dataset_pb2.DATASET_VERSION_STATE_INVALID,
            OLD: dataset_pb2.DATASET_VERSION_STATE_READY,
        }
        versions = [
            dataset_pb2.DatasetVersion(name=f"{request.parent}/versions/{version}", state=state)
            for version, state in states.items()
        ]
        return dataset_service_pb2.ListDatasetVersionsResponse(dataset_versions=versions)

    async def GetDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return dataset_pb2.DatasetVersion(name=request.name, bundle=artifact_pb2.Bundle(manifest_sha256="ab" * 32))

    async def FixDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return self._derived(request, request.dataset)

    async def FilterDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return self._derived(request, request.dataset)

    async def SplitDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return self._derived(request, request.dataset)

    async def MergeDatasetVersions(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return self._derived(request, request.parent)

    def _derived(self, request: Any, dataset: str) -> dataset_pb2.DatasetVersion:
        self.asked.append(request)
        return dataset_pb2.DatasetVersion(name=f"{dataset or request.name.partition('/versions/')[0]}/versions/{NEW}")

    async def ApproveDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return self._reviewed(request, dataset_pb2.DATASET_VERSION_STATE_READY)

    async def RejectDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return self._reviewed(request, dataset_pb2.DATASET_VERSION_STATE_REJECTED)

    async def ArchiveDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return self._reviewed(request, dataset_pb2.DATASET_VERSION_STATE_ARCHIVED)

    async def SignDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVersion:
        return self._reviewed(request, dataset_pb2.DATASET_VERSION_STATE_READY)

    def _reviewed(self, request: Any, state: dataset_pb2.DatasetVersionState) -> dataset_pb2.DatasetVersion:
        self.asked.append(request)
        return dataset_pb2.DatasetVersion(name=request.name, state=state)

    async def VerifyDatasetVersion(self, request: Any, context: Any) -> dataset_pb2.DatasetVerification:
        check = dataset_pb2.SignatureCheck(signer="Íñigo Muñoz", public_key=b"\1" * 32, valid=True)
        return dataset_pb2.DatasetVerification(
            intact=not self.faults, faults=self.faults, rows_checked=10, signatures=[check]
        )


class Trainer(trainer_service_pb2_grpc.TrainerServiceServicer):
    def __init__(self) -> None:
        self.created: list[trainer_service_pb2.CreateTrainingJobRequest] = []
        self.estimated: list[trainer_service_pb2.EstimateTrainingJobRequest] = []
        self.estimate_patience = 0.0
        self.rerun: list[trainer_service_pb2.RerunTrainingJobRequest] = []
        self.log_requests: list[trainer_service_pb2.StreamTrainingLogsRequest] = []
        self.files: dict[str, bytes] = {}
        self.mirrored: list[trainer_service_pb2.MirrorBaseModelRequest] = []
        self.watches = 0

    async def ImportBaseModel(self, request_iterator: AsyncIterator[Any], context: Any) -> trainer_pb2.BaseModel:
        path = model = ""
        async for request in request_iterator:
            match request.WhichOneof("payload"):
                case "header":
                    model = request.header.model_id
                case "file":
                    path = request.file.path
                    self.files[path] = b""
                case "chunk":
                    self.files[path] += request.chunk
        warnings = [f"dequantized from {path}"] if path.endswith(".gguf") else []
        return trainer_pb2.BaseModel(name=f"baseModels/{model}/revisions/aa", architecture="llama", warnings=warnings)

    async def MirrorBaseModel(
        self, request: trainer_service_pb2.MirrorBaseModelRequest, context: Any
    ) -> AsyncIterator[trainer_service_pb2.MirrorBaseModelResponse]:
        self.mirrored.append(request)
        yield trainer_service_pb2.MirrorBaseModelResponse(phase="fetching config.json", received_bytes=3, total_bytes=9)
        if len(self.mirrored) == 1:
            raise Unavailable("the hub went away")
        model = trainer_pb2.BaseModel(name=f"baseModels/{request.model_id}/revisions/aa", architecture="phi3")
        yield trainer_service_pb2.MirrorBaseModelResponse(base_model=model)

    async def ListBaseModels(self, request: Any, context: Any) -> trainer_service_pb2.ListBaseModelsResponse:
        models = [
            trainer_pb2.BaseModel(name=f"baseModels/{name}", create_time=Timestamp(seconds=created))
            for name, created in (("tiny/revisions/aa", 1), ("tiny/revisions/bb", 2), ("other/revisions/cc", 3))
        ]
        return trainer_service_pb2.ListBaseModelsResponse(base_models=models)

    async def CreateTrainingJob(self, request: Any, context: Any) -> trainer_pb2.TrainingJob:
        self.created.append(request)
        return trainer_pb2.TrainingJob(name=f"{request.parent}/trainingJobs/j1", adapter=f"{request.parent}/adapters/1")

    async def EstimateTrainingJob(self, request: Any, context: Any) -> trainer_pb2.TrainingEstimate:
        self.estimated.append(request)
        self.estimate_patience = context.time_remaining()
        return trainer_pb2.TrainingEstimate(
            trainable_parameters=262_144,
            base_parameters=4_000_000,
            targets=[trainer_pb2.TargetMatch(target="qkv_proj", layers=32, shape=[9216, 3072])],
            mask=trainer_pb2.MaskProof(rows=80, tokens=8_000, supervised_tokens=1_234, rows_with_end_of_turn=80),
            tokens_per_epoch=8_000,
            steps=30,
            memory_bytes=2_600_000_000,
            seconds_per_step=640.0 if request.measure else 0,
            seconds=19_200.0 if request.measure else 0,
            notices=["los pesos se descuantizaron de un archivo GGUF"],
        )

    async def RerunTrainingJob(self, request: Any, context: Any) -> trainer_pb2.TrainingJob:
        self.rerun.append(request)
        return trainer_pb2.TrainingJob(
            name="branches/tutor/trainingJobs/j2", adapter="branches/tutor/adapters/2", dataset_version=OLD
        )

    async def ListTrainingPresets(self, request: Any, context: Any) -> trainer_service_pb2.ListTrainingPresetsResponse:
        preset = trainer_pb2.TrainingPreset(
            name="tutor", description="Un tutor con voz propia", spec_yaml="lora:\n  target_modules: [q_proj]\n"
        )
        return trainer_service_pb2.ListTrainingPresetsResponse(training_presets=[preset])

    async def StreamTrainingLogs(
        self, request: Any, context: Any
    ) -> AsyncIterator[trainer_service_pb2.StreamTrainingLogsResponse]:
        """Breaks off behind the second line, once."""
        self.log_requests.append(request)
        for number, (attempt, line) in enumerate([(1, "paso 1"), (1, "paso [2]"), (2, "paso 3")]):
            if number == 2 and len(self.log_requests) == 1:
                raise Unavailable("the server is draining", reason="DRAINING")
            yield trainer_service_pb2.StreamTrainingLogsResponse(attempt=attempt, line=line)

    async def WatchTrainingJob(self, request: Any, context: Any) -> AsyncIterator[trainer_pb2.TrainingJob]:
        """The job's id says how it goes on."""
        self.watches += 1
        adapter = "branches/tutor/adapters/1"

        def state(value: job_pb2.JobState, **status: Any) -> trainer_pb2.TrainingJob:
            return trainer_pb2.TrainingJob(name=request.name, adapter=adapter, status=job(value, **status))

        progress = job_pb2.JobProgress(phase="training", step=40, total=300, message="loss 0.51")
        yield state(job_pb2.JOB_STATE_RUNNING, attempt=self.watches, progress=progress)
        match request.name.rpartition("/")[2]:
            case "broken" if self.watches < 3:
                raise Unavailable("the server is draining", reason="DRAINING")
            case "cancelled":
                yield state(job_pb2.JOB_STATE_CANCELLED)
            case "failed":
                error = status_proto(EngineFailure("out of memory", reason="OUT_OF_MEMORY"))
                yield state(job_pb2.JOB_STATE_FAILED, error=error, failure_class=job_pb2.FAILURE_CLASS_CAPACITY)
            case _:
                yield state(job_pb2.JOB_STATE_SUCCEEDED)

    async def GetAdapter(self, request: Any, context: Any) -> trainer_pb2.Adapter:
        return trainer_pb2.Adapter(name=request.name, trainable_parameters=262_144, final_loss=0.05)


class Evaluator(evaluator_service_pb2_grpc.EvaluatorServiceServicer):
    def __init__(self) -> None:
        self.ordered: list[evaluator_service_pb2.CreateEvaluationRequest] = []

    async def ListSuites(self, request: Any, context: Any) -> evaluator_service_pb2.ListSuitesResponse:
        kinds = {"validation": "generation", "multiple-choice": "multiple_choice", "perplexity": "perplexity"}
        suites = [suite_pb2.SuiteDescription(name=name, kind=kind) for name, kind in kinds.items()]
        return evaluator_service_pb2.ListSuitesResponse(suites=suites)

    async def CreateEvaluation(self, request: Any, context: Any) -> evaluator_pb2.Evaluation:
        self.ordered.append(request)
        return request.evaluation


MODELFILE = 'FROM ./tutor-1-f16.gguf\nSYSTEM """Eres un [bold]señor[/bold]."""\n'
CARD = "# tutor-1\n\n| a | b |\n"


class Exporter(exporter_service_pb2_grpc.ExporterServiceServicer):
    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.break_after = 0
        self.content = GGUF
        self.published: list[exporter_service_pb2.PublishToOllamaRequest] = []
        self.ollama_is_away = False
        self.asked: list[Any] = []
        self.texts = {"Modelfile": MODELFILE.encode(), "README.md": CARD.encode()}
        self.faults: list[str] = []
        self.signatures: list[exporter_pb2.ExportSignature] = []

    async def CreateExport(self, request: Any, context: Any) -> exporter_pb2.Export:
        self.asked.append(request)
        return exporter_pb2.Export(name=f"{request.parent}/exports/x1")

    async def EstimateExport(self, request: Any, context: Any) -> exporter_pb2.ExportEstimate:
        self.asked.append(request)
        files = [exporter_pb2.FileEstimate(quantization="QUANTIZATION_Q4_K_M", size_bytes=4_700_000_000)]
        return exporter_pb2.ExportEstimate(
            disk_bytes=21_000_000_000, memory_bytes=33_000_000_000, disk_free_bytes=10**9, files=files
        )

    async def ListExports(self, request: Any, context: Any) -> exporter_service_pb2.ListExportsResponse:
        export = exporter_pb2.Export(
            name=f"{request.parent}/exports/x1",
            adapter=f"{request.parent}/adapters/3",
            quantizations=[exporter_pb2.QUANTIZATION_Q4_K_M],
            merged_model=True,
            signatures=[exporter_pb2.ExportSignature(signer="Íñigo")],
            publications=[exporter_pb2.OllamaPublication(model="tutor:v2")],
        )
        return exporter_service_pb2.ListExportsResponse(exports=[export])

    async def VerifyExport(self, request: Any, context: Any) -> exporter_pb2.ExportVerification:
        checks = [
            exporter_pb2.ExportSignatureCheck(signer=each.signer, public_key=each.public_key, valid=not self.faults)
            for each in self.signatures
        ]
        return exporter_pb2.ExportVerification(intact=not self.faults, faults=self.faults, signatures=checks)

    async def SignExport(self, request: Any, context: Any) -> exporter_pb2.Export:
        self.signatures.append(
            exporter_pb2.ExportSignature(
                signer=request.signer, public_key=request.public_key, signature=request.signature
            )
        )
        return exporter_pb2.Export(name=request.name, signatures=self.signatures)

    async def PublishToOllama(
        self, request: Any, context: Any
    ) -> AsyncIterator[exporter_service_pb2.PublishToOllamaResponse]:
        self.published.append(request)
        if self.ollama_is_away:
            raise Unavailable("no Ollama answers at http://127.0.0.1:11434", reason="OLLAMA_AWAY")
        model = f"{request.model}:{request.tag or 'v2'}"
        total = len(GGUF)
        if request.dry_run:
            publication = exporter_pb2.OllamaPublication(model=model)
            yield exporter_service_pb2.PublishToOllamaResponse(
                phase=f"would send tutor-1-f16.gguf, and create {model}", total_bytes=total, publication=publication
            )
            return
        for sent in (0, total // 2, total):
            yield exporter_service_pb2.PublishToOllamaResponse(
                phase="sending tutor-1-f16.gguf", sent_bytes=sent, total_bytes=total
            )
        yield exporter_service_pb2.PublishToOllamaResponse(
            phase=f"{model}: writing manifest", sent_bytes=total, total_bytes=total
        )
        publication = exporter_pb2.OllamaPublication(
            model=model, quantization=exporter_pb2.QUANTIZATION_F16, digest="f" * 64
        )
        yield exporter_service_pb2.PublishToOllamaResponse(phase=f"{model} is ready", publication=publication)

    async def GetExport(self, request: Any, context: Any) -> exporter_pb2.Export:
        file = artifact_pb2.Artifact(
            key="models/gguf/tutor/x1/tutor-1-f16.gguf", size_bytes=len(GGUF), sha256=hashlib.sha256(GGUF).hexdigest()
        )
        bundle = artifact_pb2.Bundle(prefix="models/gguf/tutor/x1", manifest_sha256="ab" * 32, files=[file])
        return exporter_pb2.Export(name=request.name, bundle=bundle)

    async def DownloadExportFile(
        self, request: Any, context: Any
    ) -> AsyncIterator[exporter_service_pb2.DownloadExportFileResponse]:
        self.offsets.append(request.offset)
        rest = self.texts.get(request.file, self.content)[request.offset :]
        for begin in range(0, len(rest), 65_536):
            if self.break_after and begin >= self.break_after:
                self.break_after = 0
                raise Unavailable("the server is draining", reason="DRAINING")
            yield exporter_service_pb2.DownloadExportFileResponse(chunk=rest[begin : begin + 65_536])


class SuiteDouble:
    def __init__(self) -> None:
        self.dataset = Datasets()  # type: ignore[abstract]  # The calls that they lack answer UNIMPLEMENTED.
        self.trainer = Trainer()  # type: ignore[abstract]
        self.evaluator = Evaluator()  # type: ignore[abstract]
        self.exporter = Exporter()  # type: ignore[abstract]
        self.port = free_ports(4)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """In a thread of its own, because a command owns the thread that it runs in."""
        ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.run_until_complete(self._serve(ready, stop)))
        thread.start()
        try:
            assert ready.wait(10), "the servers did not start"
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()

    async def _serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        services = [
            GrpcService(
                dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server,
                self.dataset,
                "fragua.dataset.v1.DatasetService",
            ),
            GrpcService(
                trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server,
                self.trainer,
                "fragua.trainer.v1.TrainerService",
            ),
            GrpcService(
                evaluator_service_pb2_grpc.add_EvaluatorServiceServicer_to_server,
                self.evaluator,
                "fragua.evaluator.v1.EvaluatorService",
            ),
            GrpcService(
                exporter_service_pb2_grpc.add_ExporterServiceServicer_to_server,
                self.exporter,
                "fragua.exporter.v1.ExporterService",
            ),
        ]
        servers = [
            GrpcServer([service], port=self.port + offset, drain_seconds=0) for offset, service in enumerate(services)
        ]
        for server in servers:
            await server.start()
            await server.set_ready(True)
        ready.set()
        await stop.wait()
        await asyncio.gather(*(server.stop() for server in servers))


def job(state: job_pb2.JobState, **fields: Any) -> job_pb2.JobStatus:
    return job_pb2.JobStatus(state=state, **{"attempt": 1, "max_attempts": 5, **fields})
