"""Exports put into an Ollama server: the right bytes, name and turns, and what is told when the server fails."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2, exporter_service_pb2_grpc
from fragua_exporter.adapters.ollama import Ollama
from fragua_exporter.adapters.publications import PublicationTable
from fragua_exporter.adapters.tables import metadata
from fragua_exporter.api.publish_calls import PublishCalls
from fragua_exporter.application.publishing import Publishing, PublishOrder, PublishProgress
from fragua_exporter.bootstrap import DEFINITION
from fragua_exporter.domain.export_order import ExportOrder, ResolvedOrder
from fragua_exporter.domain.export_spec import ExportSpec, Quantization
from fragua_exporter.domain.exported_file import ExportedFile
from fragua_exporter.domain.modelfile import Modelfile
from fragua_exporter.domain.publication import Publication
from fragua_platform.artifacts.bundle import publish_bundle
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.database import Database, upgrade_schema
from fragua_platform.errors import (
    AlreadyExists,
    Corrupted,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    Unavailable,
)
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcServer, GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.jobs.store import JobStore
from tests.jobs import new_job, no_further_events
from tests.servers.ollama import OllamaServer
from tests.servers.process import free_port

MODELFILE = Modelfile(
    file="tutor-3-f16.gguf",
    template="{{ .System }}¿{{ range .Messages }}{{ .Content }}{{ end }}\n",
    stops=("<|im_start|>", "<|im_end|>"),
    parameters={"temperature": 0.7, "top_k": 40, "num_ctx": 512},
    system='Eres un "tutor".\nSé breve.',
    license="Apache-2.0",
)
F16, Q8_0 = (b"GGUF" + bytes(range(256)) * size for size in (12_000, 6_000))
EXPORT = "branches/tutor/exports/x1"


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture
async def store(tmp_path: Path) -> LocalArtifactStore:
    return LocalArtifactStore(tmp_path / "artifacts")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'exporter.db'}")
    upgrade_schema(database, DEFINITION.migrations)
    yield database
    await database.close()


@pytest.fixture
async def desk(store: LocalArtifactStore, database: Database, tmp_path: Path) -> JobDesk:
    """Knows one export that succeeded, with files as small as they can be."""
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "Modelfile").write_text(MODELFILE.render(), "utf-8")
    files = {"tutor-3-f16.gguf": (Quantization.F16, F16), "tutor-3-q8_0.gguf": (Quantization.Q8_0, Q8_0)}
    for name, (_, content) in files.items():
        (outputs / name).write_bytes(content)
    bundle = await publish_bundle(store, "models/gguf/tutor/x1", outputs, {})
    measured: dict[str, Any] = {"token_ids_equal": True, "max_kl": 0.0, "top1_agreement": 1.0}
    measured |= {"answer": "Sí.", "answer_stopped": True}
    exported = [
        ExportedFile(
            file=name, quantization=quant, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), **measured
        )
        for name, (quant, data) in files.items()
    ]
    result = {"bundle": bundle.model_dump(mode="json"), "files": [file.model_dump(mode="json") for file in exported]}
    jobs = JobStore("exporter", metadata, on_change=no_further_events)
    database.transact(lambda connection: jobs.create(connection, job_of(EXPORT)))
    database.transact(lambda connection: jobs.create(connection, job_of(EXPORT.replace("x1", "queued"))))
    table = metadata.tables["jobs"]
    succeeded = table.update().where(table.c.name == EXPORT)
    database.transact(
        lambda connection: connection.execute(
            succeeded.values(state=JobState.SUCCEEDED.value, result=result, ended=datetime.now(UTC))
        )
    )
    return JobDesk(database, jobs, kind="export", collection="exports", max_attempts=3)


def job_of(name: str) -> Job:
    spec = ExportSpec(model_name="tutor-3", quantizations=(Quantization.F16,), probe_prompt="¿Qué?")
    order = ResolvedOrder(
        order=ExportOrder(adapter="branches/tutor/adapters/3", spec=spec),
        adapter_prefix="models/lora/tutor/3",
        adapter_manifest_sha256="0" * 64,
        base_model="baseModels/tiny/revisions/1",
        base_prefix="models/base/tiny/1",
        base_manifest_sha256="0" * 64,
    )
    return replace(new_job(), kind="export", branch="tutor", name=name, spec=order.model_dump(mode="json"))


@pytest.fixture
def publishing(desk: JobDesk, store: LocalArtifactStore, database: Database, server: OllamaServer) -> Publishing:
    return Publishing(desk, store, Ollama(server.url, patience_seconds=0.3), PublicationTable(database))


async def publications(database: Database) -> list[Publication]:
    found = await database.run(lambda connection: PublicationTable(database).of_exports(connection, [EXPORT]))
    return found.get(EXPORT, [])


async def publish(publishing: Publishing, **changes: Any) -> list[PublishProgress]:
    order: dict[str, Any] = {"export": EXPORT, "model": "tutor", "tag": "", "quantization": None}
    order |= {"dry_run": False, "replace": False}
    return [progress async for progress in publishing.publish(PublishOrder(**order | changes))]


# R155, R194
async def test_a_model_gets_the_file_the_turns_and_the_parameters_of_its_modelfile(
    publishing: Publishing, server: OllamaServer
) -> None:
    *steps, last = await publish(publishing)
    digest = f"sha256:{hashlib.sha256(F16).hexdigest()}"
    assert server.blobs == {digest: F16}
    assert server.models["tutor:v1"] == {
        "model": "tutor:v1",
        "files": {"tutor-3-f16.gguf": digest},
        "template": MODELFILE.template,
        "system": MODELFILE.system,
        "parameters": {"temperature": 0.7, "top_k": 40, "num_ctx": 512, "stop": ["<|im_start|>", "<|im_end|>"]},
        "license": "Apache-2.0",
        "stream": True,
    }
    assert last.publication is not None
    assert (last.publication.model, last.publication.quantization) == ("tutor:v1", Quantization.F16)
    assert last.publication.digest == server.digest_of("tutor:v1")
    assert [step.sent_bytes for step in steps] == sorted(step.sent_bytes for step in steps)
    assert last.sent_bytes == last.total_bytes == len(F16)
    assert {step.publication for step in steps} == {None}


# R156
async def test_versions_count_on_and_bytes_that_are_there_are_not_sent_again(
    publishing: Publishing, server: OllamaServer, database: Database
) -> None:
    server.models |= {"tutor:v9": {}, "tutor:latest": {}, "otro/tutor:v30": {}, "tutor:v1b": {}}
    await publish(publishing)
    await publish(publishing)
    await publish(publishing, tag="clase")
    assert {"tutor:v10", "tutor:v11", "tutor:clase"} <= server.models.keys()
    assert server.received_bytes == len(F16)
    kept = await publications(database)
    assert [publication.model for publication in kept] == ["tutor:clase", "tutor:v11", "tutor:v10"]
    assert kept[0].digest == server.digest_of("tutor:clase")


async def test_another_quantization_can_be_named(publishing: Publishing, server: OllamaServer) -> None:
    await publish(publishing, quantization=Quantization.Q8_0, model="clases/tutor")
    assert list(server.models["clases/tutor:v1"]["files"]) == ["tutor-3-q8_0.gguf"]
    assert list(server.blobs.values()) == [Q8_0]


async def test_a_dry_run_tells_what_would_be_sent_and_sends_nothing(
    publishing: Publishing, server: OllamaServer, database: Database
) -> None:
    [step] = await publish(publishing, dry_run=True)
    assert step.publication is not None
    assert (step.publication.model, step.publication.digest, step.total_bytes) == ("tutor:v1", "", len(F16))
    assert not server.models
    assert not server.blobs
    assert not any(call.startswith("POST") for call in server.calls)
    assert await publications(database) == []


async def test_a_tag_that_is_taken_is_replaced_only_on_request(publishing: Publishing, server: OllamaServer) -> None:
    await publish(publishing, tag="v1")
    with pytest.raises(AlreadyExists, match="next free version"):
        await publish(publishing, tag="V1", quantization=Quantization.Q8_0)
    assert len(server.blobs) == 1, "nothing is sent for a name that cannot be had"
    await publish(publishing, tag="v1", quantization=Quantization.Q8_0, replace=True)
    assert list(server.models["tutor:v1"]["files"]) == ["tutor-3-q8_0.gguf"]
    with pytest.raises(InvalidInput, match="nothing to replace"):
        await publish(publishing, replace=True)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"export": "branches/tutor/exports/missing"}, NotFound),
        ({"export": "branches/tutor/exports/queued"}, FailedPrecondition),
        ({"quantization": Quantization.Q4_K_M}, NotFound),
    ],
)
async def test_what_cannot_be_published_is_told_before_the_server_is_asked(
    publishing: Publishing, server: OllamaServer, changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await publish(publishing, **changes)
    assert server.calls == []


async def test_an_upload_that_dies_midway_leaves_nothing_and_can_be_repeated(
    publishing: Publishing, server: OllamaServer
) -> None:
    server.faults.die_after_bytes = 1_000_000
    with pytest.raises(Unavailable, match="try again"):
        await publish(publishing)
    assert not server.models
    assert not server.blobs
    server.faults.die_after_bytes = 0
    await publish(publishing)
    assert list(server.blobs.values()) == [F16]


@pytest.mark.parametrize("path", ["/api/version", "/api/tags", "/api/blobs", "/api/create", "/api/show"])
async def test_a_server_that_fails_is_unavailable_and_the_model_is_not_called_published(
    publishing: Publishing, server: OllamaServer, database: Database, path: str
) -> None:
    server.faults.fail = {path: 500}
    with pytest.raises(Unavailable, match="failed with status 500"):
        await publish(publishing)
    assert await publications(database) == []


@pytest.mark.parametrize("path", ["/api/version", "/api/tags", "/api/show"])
async def test_a_server_that_falls_silent_is_not_waited_for_without_end(
    publishing: Publishing, server: OllamaServer, path: str
) -> None:
    server.faults.stall = path
    with pytest.raises(Unavailable, match="fell silent"):
        await publish(publishing)


async def test_a_server_that_takes_no_bytes_is_not_waited_for_without_end(
    desk: JobDesk, store: LocalArtifactStore, database: Database, server: OllamaServer
) -> None:
    server.faults.stall = "/api/create"
    impatient = Publishing(desk, store, Ollama(server.url, patience_seconds=0.05), PublicationTable(database))
    with pytest.raises(Unavailable, match="fell silent"):
        await publish(impatient)


async def test_a_server_that_is_away_is_named_with_the_way_out(
    desk: JobDesk, store: LocalArtifactStore, database: Database
) -> None:
    nobody = Publishing(desk, store, Ollama(f"http://127.0.0.1:{free_port()}"), PublicationTable(database))
    with pytest.raises(Unavailable, match="start it with `ollama serve`, or set FRAGUA_OLLAMA_URL"):
        await publish(nobody)


@pytest.mark.parametrize(
    ("version", "accepted"), [("0.5.4", False), ("0.5.5", True), ("0.0.0", True), ("1.2.0-rc1", True)]
)
async def test_a_server_too_old_to_be_given_files_is_told_to_be_upgraded(
    publishing: Publishing, server: OllamaServer, version: str, accepted: bool
) -> None:
    server.version = version
    if accepted:
        await publish(publishing)
        return
    with pytest.raises(FailedPrecondition, match=r"upgrade it to 0\.5\.5"):
        await publish(publishing)
    assert server.calls == ["GET /api/version"]


async def test_a_stream_that_ends_early_or_reports_an_error_is_no_success(
    publishing: Publishing, server: OllamaServer
) -> None:
    server.faults.break_create = True
    with pytest.raises(Unavailable, match="broke off while it created tutor:v1"):
        await publish(publishing)
    server.faults.refuse_in_stream = "unknown type"
    with pytest.raises(InvalidInput, match="refused with status 400: unknown type"):
        await publish(publishing)
    assert server.models == {}


async def test_a_template_that_did_not_arrive_as_it_was_given_is_noticed(
    publishing: Publishing, server: OllamaServer
) -> None:
    server.faults.other_template = "{{ .Prompt }}"
    with pytest.raises(Corrupted, match="another TEMPLATE"):
        await publish(publishing)


async def test_bytes_that_rotted_in_the_store_never_become_a_model(
    publishing: Publishing, server: OllamaServer, tmp_path: Path
) -> None:
    [file] = (tmp_path / "artifacts").rglob("tutor-3-f16.gguf")
    file.chmod(0o600)
    file.write_bytes(F16[:-1] + b"\x00")
    with pytest.raises(Corrupted):
        await publish(publishing)
    assert not server.models
    assert not server.blobs


async def in_one_chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_bytes_with_another_digest_and_files_that_are_no_model_are_refused(server: OllamaServer) -> None:
    ollama = Ollama(server.url)
    text = b"no model"
    with pytest.raises(InvalidInput, match="digest mismatch"):
        await ollama.send_blob(ArtifactRef("x", len(text), "0" * 64), in_one_chunk(text))
    with pytest.raises(InvalidInput, match="blob not found"):
        [status async for status in ollama.create("tutor:v1", MODELFILE, "0" * 64)]
    digest = hashlib.sha256(text).hexdigest()
    await ollama.send_blob(ArtifactRef("x", len(text), digest), in_one_chunk(text))
    with pytest.raises(InvalidInput, match="not in GGUF format"):
        [status async for status in ollama.create("tutor:v1", MODELFILE, digest)]


async def test_what_is_no_ollama_is_named(server: OllamaServer) -> None:
    with pytest.raises(InvalidInput, match="404"):
        await Ollama(f"{server.url}/elsewhere").models()


@pytest.mark.parametrize("answer", ["[]", "{", "[" * 100_000], ids=["a list", "half", "bottomless"])
def test_an_answer_that_is_no_object_is_named(answer: str) -> None:
    with pytest.raises(InvalidInput, match="is no Ollama server"):
        Ollama("http://127.0.0.1:1")._object(answer)


class PublishServicer(PublishCalls, exporter_service_pb2_grpc.ExporterServiceServicer):
    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing


async def test_over_grpc_the_last_message_names_the_model_and_errors_keep_their_family(
    publishing: Publishing, server: OllamaServer
) -> None:
    servicer = PublishServicer(publishing)  # type: ignore[abstract]  # The other calls answer UNIMPLEMENTED.
    add, name = exporter_service_pb2_grpc.add_ExporterServiceServicer_to_server, "fragua.exporter.v1.ExporterService"
    async with (
        GrpcServer([GrpcService(add, servicer, name)], host="127.0.0.1", port=0) as grpc_server,
        open_channel(f"127.0.0.1:{grpc_server.port}") as channel,
    ):
        stub = exporter_service_pb2_grpc.ExporterServiceStub(channel)
        request = exporter_service_pb2.PublishToOllamaRequest(name=EXPORT, model="tutor")
        *_, last = [message async for message in stub.PublishToOllama(request)]
        assert last.publication.model == "tutor:v1"
        assert last.publication.quantization == exporter_pb2.QUANTIZATION_F16
        assert last.publication.digest == server.digest_of("tutor:v1")
        server.stop()
        with pytest.raises(Unavailable, match="no Ollama answers") as away:
            [message async for message in stub.PublishToOllama(request)]
        assert away.value.reason == "OLLAMA_AWAY"
        server.start()
