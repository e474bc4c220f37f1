"""Training again, and reading what runs say, over gRPC on the service as its bootstrap wires it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from fragua.common.v1 import job_pb2
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2
from fragua_platform.errors import AlreadyExists, InvalidInput, NotFound
from fragua_platform.runtime import serving, working
from fragua_trainer.adapters import log_lines
from fragua_trainer.adapters.tables import training_sessions
from fragua_trainer.bootstrap import DEFINITION
from fragua_trainer.work import TrainingWork
from tests.integration.training_site import BRANCH, NEW, OLD, REJECTED, TrainingSite, training_site
from tests.tiny_models import make_tiny_llama

ENGINE_THAT_FAILS = """
import json
from fragua_platform.errors import InvalidData
from fragua_platform.jobs.engine import run_engine

def engine(job, reporter):
    session = {"hardware": {"cpu": "El Ñandú 3000"}, "repository_commit": "c0ffee"}
    (job.root / "session.json").write_text(json.dumps(session))
    for step in (1, 2, 3):
        reporter.progress("training", step, 3, f"paso {step}")
    raise InvalidData("la fila 7 no se puede leer")

run_engine(engine)
"""
ENGINE_THAT_IS_QUICK = """
import json
from fragua_platform.jobs.engine import run_engine

def engine(job, reporter):
    reporter.progress("training", 1, 1, "paso 1")
    info = {"trainable_parameters": 8, "adapter_loss": 0.5, "adapter_validation_loss": None, "notices": []}
    info |= {"hardware": {"cpu": "El Ñandú 3000"}, "repository_commit": "c0ffee"}
    (job.outputs / "training_info.json").write_text(json.dumps(info))

run_engine(engine)
"""
ENGINE_THAT_IS_KILLED_UNLESS_IT_IS_SMALL = """
import json, os, signal
from fragua_platform.jobs.engine import run_engine

def engine(job, reporter):
    spec = job.read_spec()
    schedule = spec["schedule"]
    if "smaller_after" not in spec["provenance"]:
        os.kill(os.getpid(), signal.SIGKILL)
    notice = f"{schedule['batch_size']} x {schedule['gradient_accumulation']}, {spec['provenance']['smaller_after']}"
    info = {"trainable_parameters": 8, "adapter_loss": 0.5, "adapter_validation_loss": None, "notices": [notice]}
    info |= {"hardware": {}, "repository_commit": "c0ffee"}
    (job.outputs / "training_info.json").write_text(json.dumps(info))

run_engine(engine)
"""
NOBODY = f"{BRANCH}/trainingJobs/nadie"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("base"), seed=3)


@pytest.fixture
async def site(tmp_path: Path, base: Path) -> AsyncIterator[TrainingSite]:
    async with training_site(tmp_path, base) as site:
        yield site


# --- again


async def test_a_rerun_is_a_new_job_with_the_order_of_the_former_one(site: TrainingSite) -> None:
    former = await site.order(preset="tutor", lora=trainer_pb2.LoraSpec(rank=4), evaluate_after=True)
    again = await site.rerun(former.name)

    assert again.name != former.name
    assert again.adapter == f"{BRANCH}/adapters/2"
    assert again.status.state == job_pb2.JOB_STATE_QUEUED
    assert again.resolved_spec_yaml == former.resolved_spec_yaml
    assert (again.preset, again.lora.rank, again.evaluate_after) == ("tutor", 4, True)
    assert (again.dataset_version, again.base_model) == (OLD, former.base_model)


async def test_the_greatest_priority_is_trained_first_and_a_rerun_keeps_it(site: TrainingSite) -> None:
    patient, urgent = await site.order(), await site.order(priority=7)
    again = await site.rerun(urgent.name)

    assert (patient.priority, urgent.priority, again.priority) == (0, 7, 7)
    assert (await site.claim(patient)).name == urgent.name


async def test_a_request_id_with_another_priority_is_refused(site: TrainingSite) -> None:
    base_model = (await site.order()).base_model

    async def create(priority: int) -> trainer_pb2.TrainingJob:
        order = trainer_pb2.TrainingJob(dataset_version=OLD, base_model=base_model, priority=priority)
        request = trainer_service_pb2.CreateTrainingJobRequest(parent=BRANCH, training_job=order, request_id="una-vez")
        created: trainer_pb2.TrainingJob = await site.stub.CreateTrainingJob(request)
        return created

    first = await create(3)

    assert (await create(3)).name == first.name
    with pytest.raises(AlreadyExists):
        await create(4)


async def test_a_rerun_takes_a_newer_version_of_the_data(site: TrainingSite) -> None:
    former = await site.order()
    again = await site.rerun(former.name, dataset_version=NEW)

    assert again.dataset_version == NEW
    assert (await site.rerun(again.name)).dataset_version == NEW


async def test_the_same_rerun_twice_is_one_job(site: TrainingSite) -> None:
    former = await site.order()
    first = await site.rerun(former.name, request_id="otra-vez")

    assert (await site.rerun(former.name, request_id="otra-vez")).name == first.name
    with pytest.raises(AlreadyExists):
        await site.rerun(former.name, request_id="otra-vez", dataset_version=NEW)
    listed = await site.stub.ListTrainingJobs(trainer_service_pb2.ListTrainingJobsRequest(parent=BRANCH))
    assert {job.name for job in listed.training_jobs} == {former.name, first.name}


@pytest.mark.parametrize("version", [REJECTED, OLD.replace("sumas", "restas")])
async def test_a_rerun_is_checked_as_a_first_run_is(site: TrainingSite, version: str) -> None:
    former = await site.order()

    with pytest.raises(InvalidInput, match=version):
        await site.rerun(former.name, dataset_version=version)
    with pytest.raises(NotFound):
        await site.rerun(NOBODY)


# --- what a run says


async def test_lines_come_in_order_over_all_attempts(site: TrainingSite) -> None:
    ordered = await site.order()
    first = await site.claim(ordered)
    await site.say(first, ["época 1/2 · paso 1/8", "época 1/2 · paso 2/8"])
    await site.give_back(first)
    second = await site.claim(ordered)
    await site.say(second, ["se sigue desde el paso 2", "nul\0o"])

    assert await site.all_logs(ordered.name, follow=False) == [
        (1, "época 1/2 · paso 1/8"),
        (1, "época 1/2 · paso 2/8"),
        (2, "se sigue desde el paso 2"),
        (2, "nulo"),
    ]


async def test_whoever_follows_gets_new_lines_until_the_job_has_ended(site: TrainingSite) -> None:
    ordered = await site.order()
    job = await site.claim(ordered)
    await site.say(job, ["paso 1"])
    stream = aiter(site.logs(ordered.name))

    assert (await anext(stream)).line == "paso 1"
    await site.say(job, ["paso 2"])
    assert (await anext(stream)).line == "paso 2"
    await site.stub.CancelTrainingJob(trainer_service_pb2.CancelTrainingJobRequest(name=ordered.name))
    await site.say(job, ["última palabra"])
    await site.give_back(job)
    async with asyncio.timeout(10):
        assert [answer.line async for answer in stream] == ["última palabra"]


async def test_of_a_job_that_says_too_much_the_newest_lines_stay(
    site: TrainingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "MOST_LINES", 1_000)
    quiet, talkative = await site.order(), await site.order()
    await site.say(await site.claim(quiet), ["aquí estoy"])
    job = await site.claim(talkative)
    for begin in range(0, 1_500, 500):
        await site.say(job, [f"paso {step}" for step in range(begin, begin + 500)])

    kept = await site.all_logs(talkative.name, follow=False)
    assert [line for _, line in kept] == [f"paso {step}" for step in range(500, 1_500)]
    assert await site.all_logs(quiet.name, follow=False) == [(1, "aquí estoy")]


async def test_only_jobs_that_exist_have_logs(site: TrainingSite) -> None:
    with pytest.raises(NotFound):
        await site.all_logs(NOBODY)


async def test_what_the_engine_says_arrives_while_it_works_up_to_the_end(site: TrainingSite) -> None:
    async with (
        serving(DEFINITION, site.settings, site.service, site.resources),
        working(site.settings, site.service, site.resources),
    ):
        ordered = await site.order(schedule=trainer_pb2.Schedule(max_steps=4, batch_size=4, log_steps=1))
        async with asyncio.timeout(120):
            lines = [line for _, line in await site.all_logs(ordered.name)]

    for step in (1, 2, 3, 4):
        assert any(f"step {step}/4 · loss" in line for line in lines), lines


async def test_the_last_words_of_a_run_that_fails_are_kept(
    site: TrainingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine_that_fails.py").write_text(ENGINE_THAT_FAILS, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(TrainingWork, "engine", "engine_that_fails")
    async with (
        serving(DEFINITION, site.settings, site.service, site.resources),
        working(site.settings, site.service, site.resources),
    ):
        ordered = await site.order()
        async with asyncio.timeout(60):
            lines = await site.all_logs(ordered.name)

    job = await site.stub.GetTrainingJob(trainer_service_pb2.GetTrainingJobRequest(name=ordered.name))
    assert job.status.state == job_pb2.JOB_STATE_FAILED
    assert lines == [(1, f"paso {step}") for step in (1, 2, 3)]
    adapter = await site.stub.GetAdapter(trainer_service_pb2.GetAdapterRequest(name=job.adapter))
    assert (adapter.state, adapter.failure_class) == (
        trainer_pb2.ADAPTER_STATE_FAILED,
        job_pb2.FAILURE_CLASS_USER_DATA,
    )
    # R34
    (session,) = await sessions(site)
    assert (session.outcome, session.reason, session.repository_commit) == ("FAILED", "INVALID_DATA", "c0ffee")
    assert session.hardware == {"cpu": "El Ñandú 3000"}
    assert session.started < session.ended


async def test_a_run_that_was_killed_and_may_is_tried_again_in_less_memory(
    site: TrainingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine_that_is_big.py").write_text(ENGINE_THAT_IS_KILLED_UNLESS_IT_IS_SMALL, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(TrainingWork, "engine", "engine_that_is_big")
    async with (
        serving(DEFINITION, site.settings, site.service, site.resources),
        working(site.settings, site.service, site.resources),
    ):
        ordered = await site.order(spec_yaml="schedule: {batch_size: 8}", retry_smaller=True)
        async with asyncio.timeout(60):
            await site.all_logs(ordered.name)

    job = await site.stub.GetTrainingJob(trainer_service_pb2.GetTrainingJobRequest(name=ordered.name))
    assert job.status.state == job_pb2.JOB_STATE_SUCCEEDED
    assert job.notices[0].startswith("4 x 2, a former attempt was killed")
    told = [(session.outcome, session.reason) for session in await sessions(site)]
    assert told == [("QUEUED", "ENGINE_KILLED"), ("SUCCEEDED", None)]


# --- many workers


async def test_four_workers_share_the_jobs_and_run_each_once(
    site: TrainingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine_that_is_quick.py").write_text(ENGINE_THAT_IS_QUICK, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(TrainingWork, "engine", "engine_that_is_quick")
    jobs = [(await site.order()).name for _ in range(8)]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(DEFINITION, site.settings, site.service, site.resources))
        for _ in range(4):
            await stack.enter_async_context(working(site.settings, site.service, site.resources))
        async with asyncio.timeout(60):
            said = await asyncio.gather(*(site.all_logs(job) for job in jobs))

    assert said == [[(1, "paso 1")]] * 8
    held = await sessions(site)
    assert sorted(session.training_job for session in held) == sorted(jobs)
    assert len({session.worker for session in held}) == 4
    assert {(session.outcome, session.repository_commit) for session in held} == {("SUCCEEDED", "c0ffee")}
    adapters = await site.stub.ListAdapters(trainer_service_pb2.ListAdaptersRequest(parent=BRANCH))
    assert [adapter.state for adapter in adapters.adapters] == [trainer_pb2.ADAPTER_STATE_READY] * 8


async def sessions(site: TrainingSite) -> Sequence[Any]:
    query = training_sessions.select().order_by(training_sessions.c.training_job, training_sessions.c.attempt)
    return await site.resources.database.run(lambda connection: connection.execute(query).all())
