"""Examples that a language model writes, over gRPC on the embedded suite: from concepts to a version that can be used."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fragua.common.v1 import job_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_cli.__main__ import app
from fragua_cli.exits import ExitCode
from fragua_platform.artifacts.bundle import publish_bundle
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.errors import FailedPrecondition, InvalidInput
from tests.dataset_client import DatasetClient, new_request_id, state_of
from tests.embedded import EmbeddedSuite
from tests.language_model_server import LanguageModelServer, lesson, record, status
from tests.tiny_models import make_tiny_llama, make_tiny_tokenizer
from tests.unit.fragua_exporter.adapters import make_adapter

Kind = dataset_pb2.GeneratorModel
_branches = itertools.count(1)
KEY = "clave-de-prueba-ñ".encode().hex()


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageModelServer]:
    with LanguageModelServer().running() as server:
        yield server


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, server: LanguageModelServer) -> Iterator[EmbeddedSuite]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "FRAGUA_SYNTHESIS_ENDPOINTS", f"https://api.example.com, {server.origin}")
        patch.setitem(os.environ, "FRAGUA_SYNTHESIS_TEST_KEY", KEY)
        with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
            yield suite


@pytest.fixture
def model(server: LanguageModelServer) -> LanguageModelServer:
    """The server, with nothing left of the test before."""
    server.requests.clear()
    server.headers.clear()
    server.faults.clear()
    server.write = lesson
    server.seconds = 0.0
    return server


@pytest.fixture
async def client(suite: EmbeddedSuite) -> AsyncIterator[DatasetClient]:
    client = DatasetClient(suite.endpoint("dataset"), suite.data_dir / "artifacts", f"refranes-{next(_branches)}")
    await client.create_branch()
    yield client
    await client.close()


def order(
    client: DatasetClient, model: LanguageModelServer, *, request_id: str = "", profile: str = "", **spec: Any
) -> dataset_service_pb2.SynthesizeDatasetRequest:
    generator = dataset_pb2.GeneratorModel(
        kind=Kind.KIND_OPENAI_COMPATIBLE, endpoint=f"{model.origin}/v1", model="maestro", temperature=0.8
    )
    given: dict[str, Any] = {
        "concepts": ["la piñata", "el año bisiesto"],
        "language": "es",
        "generator": generator,
    } | spec
    return dataset_service_pb2.SynthesizeDatasetRequest(
        parent=f"{client.branch}/datasets/lecciones",
        request_id=request_id or new_request_id(),
        spec=dataset_pb2.SynthesisSpec(**given),
        options=dataset_pb2.ImportOptions(profile=profile),
    )


def report_of(client: DatasetClient, version: dataset_pb2.DatasetVersion) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(client.stored(version, "synthesis.json").read_bytes())
    return report


def fields(error: InvalidInput) -> set[str]:
    return {violation.field for violation in error.violations}


# R73, R134, R136
async def test_concepts_become_a_version_whose_rows_tell_their_score_and_where_they_came_from(
    client: DatasetClient, model: LanguageModelServer
) -> None:
    made = await client.made(client.stub.SynthesizeDataset(order(client, model, min_score=0.7)))

    assert state_of(made) == "READY"
    assert made.origin == dataset_pb2.DATASET_ORIGIN_SYNTHESIS
    rows = client.rows(made) + client.rows(made, "validation")
    assert len(rows) == made.row_count == 8, "four variants of each concept"
    for row in rows:
        assert row["metadata"].keys() >= {"concept", "domain", "audience", "complexity", "score", "metric", "model"}
        assert row["metadata"]["score"] >= 0.7 and row["metadata"]["metric"] == "length"
    assert {row["metadata"]["concept"] for row in rows} == {"la piñata", "el año bisiesto"}
    assert "mañana será año nuevo" in rows[0]["messages"][-1]["content"]
    report = report_of(client, made)
    assert (report["asked"], report["kept"], report["tokens"], report["stopped_by"]) == (8, 8, 8 * 150, "plan")


async def test_the_same_request_again_is_the_same_version_and_asks_nothing(
    client: DatasetClient, model: LanguageModelServer
) -> None:
    request = order(client, model, request_id="una-vez", concepts=["la piñata"])

    first = await client.made(client.stub.SynthesizeDataset(request))
    asked = len(model.requests)
    again = await client.stub.SynthesizeDataset(request)

    assert again.name == first.name
    assert len(model.requests) == asked == 4


# R93, R137
async def test_requirement_records_are_written_in_yaml_scored_and_checked_by_their_profile(
    client: DatasetClient, model: LanguageModelServer
) -> None:
    model.write = lambda question, number: record(question, number) if number % 2 else "No sé hacerlo."
    made = await client.made(
        client.stub.SynthesizeDataset(order(client, model, profile="business-requirements", min_score=0.7))
    )

    assert state_of(made) == "READY" and made.profile == "business-requirements"
    assert made.row_count == 4
    report = report_of(client, made)
    assert report["unparsable"] == {"not an object": 4} and report["kept"] == 4
    row = client.rows(made)[0]
    assert row["record"]["functional_requirements"].startswith("- id: FR001")
    assert row["metadata"]["score"] == 1 and row["metadata"]["metric"] == "requirements"


async def test_the_key_is_the_workers_and_stays_there(
    client: DatasetClient, model: LanguageModelServer, suite: EmbeddedSuite
) -> None:
    generator = dataset_pb2.GeneratorModel(
        kind=Kind.KIND_OPENAI_COMPATIBLE,
        endpoint=f"{model.origin}/v1",
        model="maestro",
        key_variable="FRAGUA_SYNTHESIS_TEST_KEY",
    )

    made = await client.made(client.stub.SynthesizeDataset(order(client, model, generator=generator)))

    assert state_of(made) == "READY"
    assert {headers["Authorization"] for headers in model.headers} == {f"Bearer {KEY}"}
    kept = [path for path in suite.data_dir.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert kept == []


async def test_a_key_that_the_worker_does_not_have_is_told_by_its_name(
    client: DatasetClient, model: LanguageModelServer
) -> None:
    generator = dataset_pb2.GeneratorModel(
        kind=Kind.KIND_OPENAI_COMPATIBLE,
        endpoint=f"{model.origin}/v1",
        model="maestro",
        key_variable="FRAGUA_SYNTHESIS_OTHER_KEY",
    )

    failed = await client.made(client.stub.SynthesizeDataset(order(client, model, generator=generator)))

    assert state_of(failed) == "INVALID"
    assert failed.status.failure_class == job_pb2.FAILURE_CLASS_USER_CONFIG
    assert "FRAGUA_SYNTHESIS_OTHER_KEY" in failed.status.error.message
    assert model.requests == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:1/v1",
        "https://api.example.com.evil.example/v1",
        "https://api.example.com@127.0.0.1/v1",
        "http://api.example.com/v1",
        "ftp://api.example.com/v1",
        "//api.example.com",
        "https://api.example.com:99999/v1",
        "https://api.example.com\\@127.0.0.1",
    ],
)
async def test_an_endpoint_that_the_operator_did_not_allow_is_never_asked(
    client: DatasetClient, model: LanguageModelServer, endpoint: str
) -> None:
    generator = dataset_pb2.GeneratorModel(kind=Kind.KIND_OLLAMA, endpoint=endpoint, model="m")
    with pytest.raises(InvalidInput) as refused:
        await client.stub.SynthesizeDataset(order(client, model, generator=generator))
    assert fields(refused.value) == {"spec.generator.endpoint"}


async def test_everything_that_cannot_work_is_told_before_anything_is_asked(
    client: DatasetClient, model: LanguageModelServer
) -> None:
    generator = dataset_pb2.GeneratorModel(
        kind=Kind.KIND_ADAPTER, endpoint=model.origin, model="branches/tutor/adapters/7"
    )
    with pytest.raises(InvalidInput) as refused:
        await client.stub.SynthesizeDataset(order(client, model, generator=generator, metric="os:system"))
    assert fields(refused.value) == {"spec.generator.endpoint", "spec.generator.model", "spec.metric"}

    for spec, field in (
        ({"metric": "yaml-valid"}, "spec.metric"),
        ({"prompt_text": "Escribe algo."}, "spec.prompt_text"),
        ({"prompt": "poesía"}, "spec.prompt"),
        ({"prompt": "instruct", "prompt_text": "{concept}"}, "spec.prompt_text"),
        ({"domains": ["educación", ""]}, "spec.domains.1"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await client.stub.SynthesizeDataset(order(client, model, **spec))
        assert fields(refused.value) == {field}, spec
    assert model.requests == []


async def test_a_synthesis_that_gives_nothing_says_why_and_cannot_be_mended(
    client: DatasetClient, model: LanguageModelServer
) -> None:
    model.write = lambda question, number: "Buenos días."

    failed = await client.made(client.stub.SynthesizeDataset(order(client, model)))

    assert state_of(failed) == "INVALID"
    assert failed.status.failure_class == job_pb2.FAILURE_CLASS_USER_CONFIG
    assert "of 8 requests none gave an example to keep: 8 not parsable" in failed.status.error.message
    fix = dataset_service_pb2.FixDatasetVersionRequest(
        name=failed.name, request_id=new_request_id(), fixers=[dataset_pb2.FIXER_TRIM]
    )
    with pytest.raises(FailedPrecondition, match=r"download its generated\.jsonl"):
        await client.stub.FixDatasetVersion(fix)


async def test_examples_that_were_paid_for_can_be_had_although_the_synthesis_failed(
    client: DatasetClient, model: LanguageModelServer
) -> None:
    def answer_three(question: str, number: int) -> str:
        if number == 3:
            model.faults.append(status(401))
        return lesson(question, number)

    model.write = answer_three

    failed = await client.made(client.stub.SynthesizeDataset(order(client, model)))

    assert state_of(failed) == "INVALID" and "does not know the key" in failed.status.error.message
    request = dataset_service_pb2.DownloadDatasetFileRequest(name=failed.name, path="generated.jsonl")
    content = b"".join([answer.chunk async for answer in client.stub.DownloadDatasetFile(request)])
    imported = await client.import_rows("lecciones", content)
    assert state_of(imported) == "READY" and imported.row_count == 3


# R137
async def test_generated_rows_can_be_filtered_by_their_score_afterwards(
    client: DatasetClient, model: LanguageModelServer
) -> None:
    made = await client.made(client.stub.SynthesizeDataset(order(client, model)))
    row_filter = dataset_pb2.RowFilter(metrics={"score": dataset_pb2.Bounds(min=0.7)}, min_examples=8)

    kept = await client.made(
        client.stub.FilterDatasetVersion(
            dataset_service_pb2.FilterDatasetVersionRequest(
                name=made.name, request_id=new_request_id(), filter=row_filter
            )
        )
    )

    assert state_of(kept) == "READY" and kept.selection.rows_kept == 8


async def test_a_suite_that_is_killed_goes_on_and_does_not_begin_again(
    client: DatasetClient, model: LanguageModelServer, suite: EmbeddedSuite
) -> None:
    model.seconds = 0.5
    ordered = await client.stub.SynthesizeDataset(order(client, model))
    while len(model.requests) < 6:
        await asyncio.sleep(0.05)
    suite.kill()
    suite.start()

    made = await client.made(client.get(ordered.name))

    assert state_of(made) == "READY" and made.row_count == 8
    assert report_of(client, made)["asked"] == 8
    # The one under way, and what came in the second after the last checkpoint.
    assert len(model.requests) - len(set(model.questions)) <= 4


async def test_an_adapter_of_the_suite_is_fetched_with_its_base_and_asked(
    client: DatasetClient, model: LanguageModelServer, suite: EmbeddedSuite, tmp_path: Path
) -> None:
    store = LocalArtifactStore(suite.data_dir / "artifacts")
    base = make_tiny_llama(tmp_path / "base", seed=5)
    adapter = make_adapter(base, tmp_path / "adapter")
    make_tiny_tokenizer().save_pretrained(adapter)
    provenance = {"base_model": "baseModels/tiny/revisions/abc"}
    (adapter / "training_info.json").write_text(json.dumps({"provenance": provenance}), "utf-8")
    await publish_bundle(store, "models/base/tiny/abc", base)
    await publish_bundle(store, "models/lora/tutor/3", adapter)
    generator = dataset_pb2.GeneratorModel(kind=Kind.KIND_ADAPTER, model="branches/tutor/adapters/3", max_tokens=4)
    budget = dataset_pb2.SynthesisBudget(max_requests=2)

    made = await client.made(client.stub.SynthesizeDataset(order(client, model, generator=generator, budget=budget)))

    # A model that has learnt nothing writes nothing of use; that it was asked is what counts here.
    assert "of 2 requests none gave an example to keep" in made.status.error.message
    assert model.requests == []


def test_examples_are_written_from_the_command_line(
    suite: EmbeddedSuite, model: LanguageModelServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRAGUA_ENDPOINT", suite.endpoint("dataset"))
    monkeypatch.setenv("FRAGUA_BRANCH", "consola")
    concepts = tmp_path / "conceptos.txt"
    concepts.write_text("la piñata\n\nel ñandú\nla piñata\n", "utf-8")
    assert CliRunner().invoke(app, ["branch", "create", "consola"]).exit_code == ExitCode.OK
    command = ["dataset", "synthesize", "--name", "lecciones", "--generator", "ollama", "--model", "maestro"]
    options = ["--concepts", str(concepts), "--language", "es", "--variants", "3", "--min-score", "0.7"]

    done = CliRunner().invoke(app, [*command, *options, "--generator-endpoint", model.origin])
    refused = CliRunner().invoke(app, [*command, *options])
    empty = CliRunner().invoke(app, [*command, "--generator-endpoint", model.origin])

    assert done.exit_code == ExitCode.OK, done.output
    assert "is READY" in done.output and len(model.requests) == 6
    assert "FRAGUA_SYNTHESIS_ENDPOINTS" in refused.output and refused.exit_code == ExitCode.REFUSED
    assert "--concept" in empty.output and empty.exit_code == ExitCode.REFUSED
