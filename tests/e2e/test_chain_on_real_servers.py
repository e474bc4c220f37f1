"""The whole chain on real NATS, PostgreSQL and S3, while every kind of process dies under it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from pathlib import Path

import pytest

from fragua.common.v1 import job_events_pb2, job_pb2
from fragua.evaluator.v1 import evaluator_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2
from fragua_platform.events.cloudevents import body_as
from fragua_platform.events.nats import NatsEventBus
from tests.chain import Chain, OnStatus
from tests.deployment import Deployment, deployed
from tests.servers import NatsServer, PostgresServer, S3Server
from tests.tiny_models import make_tiny_llama

KILLED_WHILE_RUNNING = {
    "dataset": ("dataset-serve",),
    "trainer": ("trainer-work", "postgres"),
    "evaluator": ("evaluator-work", "nats"),
    "exporter": ("exporter-work", "exporter-serve", "s3"),
}
"""What gets kill -9 as soon as the service's job is seen at work."""


@pytest.mark.timeout(400)
# R8, R25, R26, R112
async def test_the_chain_ends_once_although_every_kind_of_process_is_killed(
    tmp_path: Path, nats_url: str, nats_server: NatsServer, postgres_server: PostgresServer, s3_server: S3Server
) -> None:
    postgres_server.start()
    s3_server.start()
    with deployed(tmp_path / "suite", nats_server, postgres_server, s3_server) as deployment:
        chain = Chain(deployment.endpoint, _killer(deployment))
        try:
            adapter, exported = await _forge(chain, make_tiny_llama(tmp_path / "base", seed=5))
        finally:
            await chain.close()
        assert adapter.state == trainer_pb2.ADAPTER_STATE_READY
        assert exported.status.state == job_pb2.JOB_STATE_SUCCEEDED
        ended = await _terminal_events(nats_url)
    assert set(ended.values()) == {1}, f"every job ends once: {ended}"
    assert len(ended) == 4


async def _forge(chain: Chain, base_folder: Path) -> tuple[trainer_pb2.Adapter, exporter_pb2.Export]:
    version = await chain.import_dataset()
    assert version.row_count == 60
    base = await chain.import_base(base_folder)
    schedule = trainer_pb2.Schedule(
        # Long enough to be killed in the midst on a fast machine, where a step takes some milliseconds.
        max_steps=600,
        batch_size=8,
        learning_rate=5e-3,
        max_length=128,
        save_steps=10,
        eval_steps=300,
    )
    trained = await chain.train(
        trainer_pb2.TrainingJob(dataset_version=version.name, base_model=base.name, schedule=schedule)
    )
    assert trained.status.state == job_pb2.JOB_STATE_SUCCEEDED, trained.status.error.message
    assert trained.status.attempt > 1, "the killed worker's job went to another attempt"
    evaluated = await chain.evaluate(
        evaluator_pb2.Evaluation(adapter=trained.adapter, repeats=1, decoding={"max_new_tokens": 8})
    )
    assert evaluated.result.arms[1].suites[0].item_count == version.validation_row_count
    exported = await chain.export(
        exporter_pb2.Export(adapter=trained.adapter, quantizations=[exporter_pb2.QUANTIZATION_F16])
    )
    assert exported.status.state == job_pb2.JOB_STATE_SUCCEEDED, exported.status.error.message
    await _every_file_is_whole(chain, exported)
    adapter = await chain.trainer.GetAdapter(trainer_service_pb2.GetAdapterRequest(name=trained.adapter))
    return adapter, exported


def _killer(deployment: Deployment) -> OnStatus:
    left = dict(KILLED_WHILE_RUNNING)

    async def on_status(service: str, status: job_pb2.JobStatus) -> None:
        if status.state == job_pb2.JOB_STATE_RUNNING and _at_work(service, status):
            for name in left.pop(service, ()):
                await asyncio.to_thread(deployment.kill, name)
                await asyncio.to_thread(deployment.start, name)

    return on_status


def _at_work(service: str, status: job_pb2.JobStatus) -> bool:
    """Training is killed after a checkpoint, the others as soon as they run."""
    return service != "trainer" or status.progress.step >= 20


async def _every_file_is_whole(chain: Chain, exported: exporter_pb2.Export) -> None:
    assert {file.key.rpartition("/")[2] for file in exported.bundle.files} == {
        "tutor-1-f16.gguf",
        "Modelfile",
        "README.md",
        "bom.cdx.json",
        "export_info.json",
        "provenance.intoto.json",
    }
    for file in exported.bundle.files:
        content = await chain.download(exported.name, file.key.rpartition("/")[2])
        assert hashlib.sha256(content).hexdigest() == file.sha256


async def _terminal_events(nats_url: str) -> Counter[str]:
    """How often each job told of its end."""
    bus = await NatsEventBus.connect(nats_url)
    ended: Counter[str] = Counter()
    try:
        async with asyncio.timeout(10):
            async for event in bus.tail(["fragua.v1.*.*.job.succeeded", "fragua.v1.*.*.job.failed"], replay=True):
                ended[body_as(event, job_events_pb2.JobStateChanged).job] += 1
    except TimeoutError:
        return ended
    finally:
        await bus.close()
    return ended
