"""`fragua up`: survives kill -9, refuses what is wrong, and notices bytes that changed behind its back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fragua.common.v1 import job_pb2
from fragua.evaluator.v1 import evaluator_pb2
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2
from tests.chain import BRANCH, Chain
from tests.embedded import EmbeddedSuite
from tests.tiny_models import make_tiny_llama

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path / "suite") as suite:
        yield suite


@pytest.fixture
async def chain(suite: EmbeddedSuite) -> AsyncIterator[Chain]:
    async def ignore(_service: str, _status: job_pb2.JobStatus) -> None:
        """Nobody is watching."""

    chain = Chain(suite.endpoint, ignore)
    yield chain
    await chain.close()


# R112
async def test_running_and_queued_jobs_go_on_after_kill_9(suite: EmbeddedSuite, chain: Chain, tmp_path: Path) -> None:
    # Long enough to be killed in the midst on a fast machine, where a step takes some milliseconds.
    job = await _training(chain, tmp_path, max_steps=800)
    running = await _create(chain, job)
    job.schedule.max_steps = 60
    queued = await _create(chain, job)
    await _reaches_step(chain, running, 30)
    suite.kill()
    suite.start()
    first, second = await _ended(chain, running), await _ended(chain, queued)
    assert first.status.state == second.status.state == job_pb2.JOB_STATE_SUCCEEDED
    assert first.status.attempt == 2, "the interrupted one took a second attempt"
    assert second.status.attempt == 1
    assert {first.adapter, second.adapter} == {f"{BRANCH}/adapters/1", f"{BRANCH}/adapters/2"}
    assert await _first_step_of_attempt(chain, running, 2) > 20, "it went on from a checkpoint"


# R32
async def test_an_artifact_that_was_tampered_with_fails_the_job_that_reads_it(
    suite: EmbeddedSuite, chain: Chain, tmp_path: Path
) -> None:
    trained = await chain.train(await _training(chain, tmp_path, max_steps=4))
    weights = suite.data_dir / "artifacts/models/lora/tutor/1/adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.chmod(0o600)
    weights.write_bytes(content)
    evaluated = await chain.evaluate(evaluator_pb2.Evaluation(adapter=trained.adapter))
    assert evaluated.status.state == job_pb2.JOB_STATE_FAILED
    assert "adapter_model.safetensors" in evaluated.status.error.message
    assert not (suite.data_dir / "artifacts/evaluations").exists(), "nothing was published"


# R62
async def test_an_adapter_is_evaluated_by_itself_when_its_training_asked_for_it(chain: Chain, tmp_path: Path) -> None:
    job = await _training(chain, tmp_path, max_steps=4)
    job.evaluate_after = True
    trained = await chain.train(job)
    async with asyncio.timeout(120):
        while not (adapter := await _adapter(chain, trained.adapter)).scores:
            await asyncio.sleep(0.5)
    [score] = adapter.scores
    assert (score.suite, score.metric) == ("validation", "token_f1")
    assert score.verdict in ("GO", "NO_GO", "INCONCLUSIVE")
    assert score.reasons
    assert adapter.scores[0].item_count > 0


async def _training(chain: Chain, folder: Path, max_steps: int) -> trainer_pb2.TrainingJob:
    version = await chain.import_dataset()
    base = await chain.import_base(make_tiny_llama(folder / "base", seed=5))
    schedule = trainer_pb2.Schedule(
        max_steps=max_steps, batch_size=8, learning_rate=5e-3, max_length=128, save_steps=10, eval_steps=1000
    )
    return trainer_pb2.TrainingJob(dataset_version=version.name, base_model=base.name, schedule=schedule)


async def _create(chain: Chain, job: trainer_pb2.TrainingJob) -> str:
    request = trainer_service_pb2.CreateTrainingJobRequest(parent=BRANCH, training_job=job, request_id=uuid.uuid4().hex)
    return (await chain.trainer.CreateTrainingJob(request)).name


async def _reaches_step(chain: Chain, job: str, step: int) -> None:
    async for state in chain.trainer.WatchTrainingJob(trainer_service_pb2.WatchTrainingJobRequest(name=job)):
        if state.status.progress.step >= step:
            return


async def _ended(chain: Chain, job: str) -> trainer_pb2.TrainingJob:
    async for state in chain.trainer.WatchTrainingJob(trainer_service_pb2.WatchTrainingJobRequest(name=job)):
        last = state
    return last


async def _first_step_of_attempt(chain: Chain, job: str, attempt: int) -> int:
    request = trainer_service_pb2.ListTrainingMetricsRequest(parent=job, page_size=500)
    metrics = (await chain.trainer.ListTrainingMetrics(request)).metrics
    return min(metric.step for metric in metrics if metric.attempt == attempt)


async def _adapter(chain: Chain, name: str) -> trainer_pb2.Adapter:
    return await chain.trainer.GetAdapter(trainer_service_pb2.GetAdapterRequest(name=name))
