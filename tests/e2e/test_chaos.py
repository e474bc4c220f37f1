"""The whole chain on real servers while dice decide who is killed next, and when.

Not part of `make test`, which kills every kind of process at moments of its choice. `make chaos` throws new dice,
`make chaos ARGS=30` thirty times; a seed that failed is thrown again by FRAGUA_CHAOS_SEED. A seed fixes who is hit and
when, not what it was doing then.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import nats
import pytest
import sqlalchemy as sa
from llama_cpp import Llama

from fragua.common.v1 import job_events_pb2, job_pb2
from fragua.evaluator.v1 import evaluator_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2
from fragua_platform.artifacts.bundle import MANIFEST, fetch_bundle
from fragua_platform.artifacts.open import open_artifact_store
from fragua_platform.database import Database
from fragua_platform.events.bus import DEAD_STREAM, EVENTS_STREAM, JOBS_STREAM
from fragua_platform.events.cloudevents import CloudEvent, body_as
from fragua_platform.events.nats import NatsEventBus
from tests.chain import Chain
from tests.chaos import Havoc, chaos
from tests.deployment import SERVICES, Deployment, deployed
from tests.servers import NatsServer, PostgresServer, S3Server
from tests.tiny_models import make_tiny_llama

_FIXED_SEEDS = [366]
_SETTLING_SECONDS = 60.0
"""For what the last kill delayed: a message that was given out comes again after a lease, an event after 30 s."""


def _seeds() -> list[int]:
    if given := os.environ.get("FRAGUA_CHAOS_SEED"):
        return [int(given)]
    if runs := os.environ.get("FRAGUA_CHAOS_RUNS"):
        return [random.SystemRandom().randrange(10**6) for _ in range(int(runs))]
    return _FIXED_SEEDS


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", _seeds())
# R8, R25, R26, R112
async def test_the_chain_ends_once_whoever_is_killed_at_any_moment(
    seed: int,
    tmp_path: Path,
    nats_url: str,
    nats_server: NatsServer,
    postgres_server: PostgresServer,
    s3_server: S3Server,
) -> None:
    postgres_server.start()
    s3_server.start()
    base = make_tiny_llama(tmp_path / "base", seed=5)
    with deployed(tmp_path / "suite", nats_server, postgres_server, s3_server) as deployment:
        async with chaos(deployment, seed) as havoc:
            chain = Chain(deployment.endpoint, havoc.follow)
            exported = await _forge(chain, base)
        print(f"FRAGUA_CHAOS_SEED={seed} killed {dict(+havoc.hits)}")  # noqa: T201 - shown for a failure, or with -s
        await _settled(deployment, nats_url)
        await _every_job_ended_once(deployment, havoc)
        await _every_fact_was_told_once(nats_url)
        await _every_bundle_is_whole(deployment, s3_server, tmp_path / "fetched")
        await _the_adapter_is_one_and_has_its_score(chain)
        _answers(await _downloaded(chain, exported, tmp_path))
        await chain.close()
    assert havoc.ended_by_themselves == []


async def _forge(chain: Chain, base_folder: Path) -> exporter_pb2.Export:
    version = await chain.import_dataset()
    assert version.row_count == 60, version.status.error.message
    base = await chain.import_base(base_folder)
    schedule = trainer_pb2.Schedule(
        max_steps=60, batch_size=8, learning_rate=5e-3, max_length=128, save_steps=5, eval_steps=60
    )
    trained = await chain.train(
        trainer_pb2.TrainingJob(dataset_version=version.name, base_model=base.name, schedule=schedule)
    )
    assert trained.status.state == job_pb2.JOB_STATE_SUCCEEDED, trained.status.error.message
    evaluated = await chain.evaluate(
        evaluator_pb2.Evaluation(adapter=trained.adapter, repeats=1, decoding={"max_new_tokens": 8})
    )
    assert evaluated.status.state == job_pb2.JOB_STATE_SUCCEEDED, evaluated.status.error.message
    exported = await chain.export(
        exporter_pb2.Export(adapter=trained.adapter, quantizations=[exporter_pb2.QUANTIZATION_F16])
    )
    assert exported.status.state == job_pb2.JOB_STATE_SUCCEEDED, exported.status.error.message
    return exported


async def _settled(deployment: Deployment, nats_url: str) -> None:
    """Wait until everything that was to be told is told, and nobody has a message in hand."""
    unsent = sa.text("SELECT message_id FROM outbox WHERE sent IS NULL")
    async with asyncio.timeout(_SETTLING_SECONDS):
        while any([await _rows(deployment, service, unsent) for service in SERVICES]):
            await asyncio.sleep(0.2)
        while await _messages(nats_url, JOBS_STREAM):
            await asyncio.sleep(0.2)
    assert await _messages(nats_url, DEAD_STREAM) == 0


async def _every_job_ended_once(deployment: Deployment, havoc: Havoc) -> None:
    query = sa.text("SELECT name, state, attempt, failures FROM jobs")
    for service in SERVICES:
        [job] = await _rows(deployment, service, query)
        assert job.state == "SUCCEEDED", job.name
        assert job.attempt == job.failures + 1, "nobody was drained, so each further attempt follows a failure"
        assert job.failures <= havoc.hits.total()
    assert len(await _rows(deployment, "trainer", sa.text("SELECT number FROM model_registry"))) == 1
    assert len(await _rows(deployment, "evaluator", sa.text("SELECT name FROM evaluations"))) == 1


async def _every_fact_was_told_once(nats_url: str) -> None:
    events = await _all_events(nats_url)
    assert [id_ for id_, times in Counter(event.id for event in events).items() if times > 1] == []
    ended = Counter(
        body_as(event, job_events_pb2.JobStateChanged).job
        for event in events
        if event.subject.endswith((".job.succeeded", ".job.failed", ".job.cancelled"))
    )
    assert len(ended) == len(SERVICES)
    assert set(ended.values()) == {1}, f"every job ends once: {ended}"
    told = Counter(event.subject.split(".", 3)[-1] for event in events)
    for outcome in ("dataset.version.ready", "trainer.adapter.published", "evaluator.evaluation.reported"):
        assert told[outcome] == 1, outcome


async def _every_bundle_is_whole(deployment: Deployment, s3: S3Server, folder: Path) -> None:
    store = open_artifact_store(deployment.artifacts_url, access_key=s3.access_key, secret_key=s3.secret_key)
    keys = [key async for key in store.list("")]
    prefixes = [key.removesuffix(f"/{MANIFEST}") for key in keys if key.endswith(f"/{MANIFEST}")]
    assert Counter(prefix.rsplit("/", 2)[0] for prefix in prefixes) == {
        "datasets/tutor": 1,
        "models/base": 1,
        "models/lora": 1,
        "evaluations": 1,
        "models/gguf": 1,
    }
    for prefix in prefixes:
        await fetch_bundle(store, prefix, folder / prefix)


async def _the_adapter_is_one_and_has_its_score(chain: Chain) -> None:
    """The score comes by an event, so it may take as long as a redelivery."""
    async with asyncio.timeout(_SETTLING_SECONDS):
        while True:
            request = trainer_service_pb2.GetAdapterRequest(name="branches/tutor/adapters/1")
            adapter = await chain.trainer.GetAdapter(request)
            assert adapter.state == trainer_pb2.ADAPTER_STATE_READY
            if adapter.scores:
                break
            await asyncio.sleep(0.5)
    assert len(adapter.scores) == 1


async def _downloaded(chain: Chain, exported: exporter_pb2.Export, folder: Path) -> Path:
    path = folder / "tutor-1-f16.gguf"
    path.write_bytes(await chain.download(exported.name, path.name))
    return path


def _answers(gguf: Path) -> None:
    model = Llama(str(gguf), n_ctx=64, n_threads=1, verbose=False)
    answer = model.create_completion("¿Cuánto es", max_tokens=1, temperature=0)
    assert answer["usage"]["completion_tokens"] == 1  # type: ignore[index]  # no stream was asked for
    model.close()


async def _rows(deployment: Deployment, service: str, query: sa.TextClause) -> list[sa.Row[tuple[object, ...]]]:
    database = Database(deployment.databases[service])
    try:
        return await database.run(lambda connection: list(connection.execute(query)))
    finally:
        await database.close()


async def _messages(nats_url: str, stream: str) -> int:
    client = await nats.connect(nats_url)
    try:
        return (await client.jetstream().stream_info(stream)).state.messages
    finally:
        await client.close()


async def _all_events(nats_url: str) -> list[CloudEvent]:
    count = await _messages(nats_url, EVENTS_STREAM)
    bus = await NatsEventBus.connect(nats_url)
    try:
        events: list[CloudEvent] = []
        async for event in bus.tail(["fragua.v1.>"], replay=True):
            events.append(event)
            if len(events) >= count:
                break
        return events
    finally:
        await bus.close()
