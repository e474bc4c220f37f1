"""Trainings as runs of an MLflow server, which may be away without anybody minding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from fragua.trainer.v1 import trainer_pb2
from fragua_platform.errors import FailureClass
from fragua_platform.jobs.job import Job, JobFailure
from tests.integration.mlflow_server import MlflowServer, mlflow_server
from tests.integration.training_site import OLD, TrainingSite, training_site
from tests.tiny_models import make_tiny_llama


@pytest.fixture
def mlflow() -> Iterator[MlflowServer]:
    with mlflow_server() as server:
        yield server


@pytest.fixture
async def site(tmp_path: Path, mlflow: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TrainingSite]:
    monkeypatch.setenv("FRAGUA_MLFLOW_TRACKING_URI", f"http://maria:contrasena@127.0.0.1:{mlflow.port}")
    async with training_site(tmp_path, make_tiny_llama(tmp_path / "base", seed=3)) as site:
        yield site


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def measure(site: TrainingSite, job: Job, step: int, loss: float) -> None:
    kind = site.service.kinds["training"]
    await site.resources.database.run(lambda c: kind.record_metrics(c, job, step, {"loss": loss}))


async def test_a_training_is_one_run_whatever_workers_it_had(site: TrainingSite, mlflow: MlflowServer) -> None:
    jobs, database = site.service.jobs, site.resources.database
    ordered = await site.order(preset="tutor", lora=trainer_pb2.LoraSpec(rank=4))
    first = await site.claim(ordered)
    await measure(site, first, 1, 4.5)
    await site.give_back(first)
    second = await site.claim(ordered)
    await measure(site, second, 2, 3.5)
    bundle = {"prefix": "models/lora/tutor/1", "manifest_sha256": "aa", "files": [], "size_bytes": 1}
    broken = JobFailure(FailureClass.USER_DATA, "INVALID_DATA", "la fila 7\nsecreto")
    await database.run(lambda c: jobs.fail(c, second, broken, {"bundle": bundle}))
    await until(lambda: bool(mlflow.runs) and mlflow.runs[0].get("status") == "FAILED")

    (run,) = mlflow.runs
    assert (run["experiment"], run["name"]) == ("fragua/tutor", ordered.name.rpartition("/")[2])
    assert run["series"] == [("loss", 1, 4.5), ("loss", 2, 3.5)]
    assert (run["params"]["lora.rank"], run["params"]["preset"]) == ("4", "tutor")
    assert run["params"]["dataset_version"] == OLD
    assert run["tags"]["fragua.failure"] == "INVALID_DATA: la fila 7"
    assert run["tags"]["fragua.attempts"] == "2"
    assert run["tags"]["fragua.adapter"] == "models/lora/tutor/1"
    assert mlflow.authorizations == {"Basic bWFyaWE6Y29udHJhc2VuYQ=="}


async def test_a_cancelled_training_is_a_killed_run(site: TrainingSite, mlflow: MlflowServer) -> None:
    ordered = await site.order()
    job = await site.claim(ordered)
    await site.resources.database.run(lambda c: site.service.jobs.ask_cancel(c, job.name))
    await site.give_back(job)
    await until(lambda: bool(mlflow.runs) and mlflow.runs[0].get("status") == "KILLED")


async def test_a_server_that_is_away_costs_a_training_nothing(
    site: TrainingSite, mlflow: MlflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.broken = True
    job = await site.claim(await site.order())
    await measure(site, job, 1, 4.5)
    await until(lambda: "mlflow_left_out" in capsys.readouterr().out)
    mlflow.broken = False
    await measure(site, job, 2, 3.5)
    await until(lambda: bool(mlflow.runs) and mlflow.runs[0]["series"] == [("loss", 2, 3.5)])
