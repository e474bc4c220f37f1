"""The feedback and trigger services over gRPC, in the embedded suite: from attempts to a version and a firing."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from fragua.dataset.v1 import (
    branch_policy_pb2,
    dataset_pb2,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    feedback_pb2,
    feedback_service_pb2,
    feedback_service_pb2_grpc,
    trigger_pb2,
    trigger_service_pb2,
    trigger_service_pb2_grpc,
)
from fragua_platform.errors import InvalidInput, LimitExceeded, NotFound, Superseded
from fragua_platform.grpc.client import open_channel
from tests.embedded import EmbeddedSuite

BRANCH = "branches/tutor"
USER = "usuaria-secreta-4711"
ANSWER = "La respuesta confidencial es el ornitorrinco número {}."


class Client:
    def __init__(self, endpoint: str) -> None:
        self.channel = open_channel(endpoint)
        self.dataset = dataset_service_pb2_grpc.DatasetServiceStub(self.channel)
        self.feedback = feedback_service_pb2_grpc.FeedbackServiceStub(self.channel)
        self.triggers = trigger_service_pb2_grpc.TriggerServiceStub(self.channel)

    async def ingest(
        self, *batches: Sequence[feedback_pb2.Attempt], parent: str = BRANCH
    ) -> feedback_service_pb2.IngestAttemptsResponse:
        async def messages() -> AsyncIterator[feedback_service_pb2.IngestAttemptsRequest]:
            header = feedback_service_pb2.IngestAttemptsHeader(parent=parent)
            yield feedback_service_pb2.IngestAttemptsRequest(header=header)
            for batch in batches:
                attempts = feedback_service_pb2.AttemptBatch(attempts=batch)
                yield feedback_service_pb2.IngestAttemptsRequest(batch=attempts)

        return await self.feedback.IngestAttempts(messages())

    async def progress(self) -> feedback_pb2.BranchProgress:
        request = feedback_service_pb2.GetBranchProgressRequest(name=f"{BRANCH}/progress")
        return await self.feedback.GetBranchProgress(request)

    async def policy(self) -> branch_policy_pb2.BranchPolicy:
        request = dataset_service_pb2.GetBranchPolicyRequest(name=f"{BRANCH}/policy")
        return await self.dataset.GetBranchPolicy(request)


def attempt(number: int, **fields: Any) -> feedback_pb2.Attempt:
    given: dict[str, Any] = {
        "attempt_id": f"intento-{number}",
        "exercise_type": "abierto",
        "user_id": USER,
        "accuracy": 0.98,
        "question": f"¿Qué animal es el número {number}?",
        "answer": ANSWER.format(number),
    }
    return feedback_pb2.Attempt(**given | fields)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture
async def client(suite: EmbeddedSuite) -> AsyncIterator[Client]:
    client = Client(suite.endpoint("dataset"))
    await client.dataset.CreateBranch(dataset_service_pb2.CreateBranchRequest(branch_id="tutor"))
    yield client
    await client.channel.close(None)


async def test_attempts_become_a_ready_version_that_fires_a_trigger_and_no_user_is_told_of(
    client: Client, suite: EmbeddedSuite
) -> None:
    trigger = trigger_pb2.Trigger(sample_count=trigger_pb2.SampleCountCondition(min_samples=40))
    await client.triggers.CreateTrigger(
        trigger_service_pb2.CreateTriggerRequest(parent=BRANCH, trigger_id="muestras", trigger=trigger)
    )
    batches = [[attempt(20 * start + i) for i in range(20)] for start in range(3)]
    batches[0][0].accuracy = 0.2
    batches[0][1].answer = "Sí."  # a sample that the profile refuses
    first = await client.ingest(*batches)
    assert (first.received, first.accepted, first.below_accuracy, first.repeated_attempts) == (60, 59, 1, 0)
    assert (await client.ingest(*batches)).repeated_attempts == 60

    request = feedback_service_pb2.ConsolidateSamplesRequest(parent=BRANCH, request_id=uuid.uuid4().hex)
    [version] = (await client.feedback.ConsolidateSamples(request)).dataset_versions
    assert version.origin == dataset_pb2.DATASET_ORIGIN_CONSOLIDATION
    watch = dataset_service_pb2.WatchDatasetVersionRequest(name=version.name)
    version = [state async for state in client.dataset.WatchDatasetVersion(watch)][-1]
    assert version.state == dataset_pb2.DATASET_VERSION_STATE_READY
    assert version.row_count == 58, "a bad sample is left out, and spoils nothing"
    assert dict(version.selection.rows_left_out) == {"BARE_ANSWER": 1}

    firings = trigger_service_pb2.ListTriggerFiringsRequest(parent=f"{BRANCH}/triggers/muestras")
    async with asyncio.timeout(20):
        while not (found := (await client.triggers.ListTriggerFirings(firings)).trigger_firings):
            await asyncio.sleep(0.1)
    assert [firing.cause for firing in found] == [f"{version.name}#abierto"]
    assert found[0].why == "abierto has 58 samples, at least 40 were asked for"

    # R31: one table knows them; everything that leaves the service does not.
    told = _events(suite.data_dir) + (suite.data_dir / "log").read_text("utf-8")
    assert "attempts.ingested" in told
    assert "trigger.fired" in told
    assert USER not in told
    assert "ornitorrinco" not in told
    assert USER not in "".join(path.read_text("utf-8") for path in suite.files("artifacts") if path.suffix == ".jsonl")
    assert USER not in json_format.MessageToJson(await client.progress(), ensure_ascii=False)
    assert _tables_with(suite.data_dir, USER) == {"user_branch_progress"}


# R29
async def test_a_type_may_be_written_as_other_programs_write_it(client: Client) -> None:
    await client.ingest([attempt(5000, exercise_type="multiple_choice")])
    assert "multiple-choice" in [each.exercise_type for each in (await client.progress()).exercise_types]
    request = feedback_service_pb2.ConsolidateSamplesRequest(
        parent=BRANCH, exercise_type="multiple_choice", request_id=uuid.uuid4().hex
    )
    [version] = (await client.feedback.ConsolidateSamples(request)).dataset_versions
    assert version.name.startswith(f"{BRANCH}/datasets/multiple-choice/versions/")


async def test_an_error_names_the_attempt_and_quotes_nothing_of_it(client: Client, suite: EmbeddedSuite) -> None:
    broken = attempt(900, choices=["a", "a"])
    broken.metadata.update({"autora": USER})
    too_good = attempt(901, accuracy=1.5)
    told = ""
    for batch, fields in (
        ([attempt(899), broken], {f"batch.attempts[1].{name}" for name in ("choices", "answer", "metadata")}),
        ([attempt(899), too_good], {"batch.attempts[1].accuracy"}),
    ):
        with pytest.raises(InvalidInput) as refused:
            await client.ingest(batch)
        assert {violation.field for violation in refused.value.violations} == fields
        told += str(refused.value) + str(refused.value.violations)
    told += (suite.data_dir / "log").read_text("utf-8")
    assert USER not in told
    assert "ornitorrinco" not in told


async def test_batches_before_a_broken_one_are_kept_and_the_stream_can_be_sent_again(client: Client) -> None:
    before = {each.exercise_type: each.samples for each in (await client.progress()).exercise_types}
    good, bad = attempt(700, exercise_type="roto"), attempt(701, exercise_type="roto", question=" ")
    with pytest.raises(InvalidInput):
        await client.ingest([good], [bad])
    bad.question = "¿Y ahora?"
    again = await client.ingest([good], [bad])
    assert (again.accepted, again.repeated_attempts) == (1, 1)
    after = {each.exercise_type: each.samples for each in (await client.progress()).exercise_types}
    assert after == before | {"roto": 2}


async def test_an_attempt_of_more_than_a_megabyte_is_refused_by_its_place(client: Client) -> None:
    with pytest.raises(InvalidInput) as refused:
        await client.ingest([attempt(1), attempt(2, choices=["x" * 600_000, "y" * 600_000])])
    assert [violation.field for violation in refused.value.violations] == ["batch.attempts[1]"]
    with pytest.raises(LimitExceeded):
        await client.ingest([attempt(number, answer="ñ" * 50_000) for number in range(100)])


async def test_a_stream_needs_one_header_of_a_branch_that_exists(client: Client) -> None:
    with pytest.raises(NotFound):
        await client.ingest([attempt(1)], parent="branches/nadie")

    async def headless() -> AsyncIterator[feedback_service_pb2.IngestAttemptsRequest]:
        batch = feedback_service_pb2.AttemptBatch(attempts=[attempt(1)])
        yield feedback_service_pb2.IngestAttemptsRequest(batch=batch)

    with pytest.raises(InvalidInput, match="header"):
        await client.feedback.IngestAttempts(headless())


async def test_a_rating_comes_back_with_its_name_and_whether_it_is_pooled(client: Client) -> None:
    asked = feedback_pb2.OutputRating(concept="una panadería", output="title: Pan", rating=5, model="ba/3")
    request = feedback_service_pb2.RateOutputRequest(parent=BRANCH, output_rating=asked, request_id="q1")
    kept = await client.feedback.RateOutput(request)
    assert kept.name.startswith(f"{BRANCH}/ratings/")
    assert kept.pooled
    assert (await client.feedback.RateOutput(request)).name == kept.name
    assert (await client.progress()).pooled_outputs == 1


# R171
async def test_the_pool_of_a_branch_of_requirements_holds_records_and_leaves_out_bad_ones(client: Client) -> None:
    await client.dataset.CreateBranch(dataset_service_pb2.CreateBranchRequest(branch_id="ba"))
    get = dataset_service_pb2.GetBranchPolicyRequest(name="branches/ba/policy")
    policy = await client.dataset.GetBranchPolicy(get)
    policy.profile = "business-requirements"
    await client.dataset.UpdateBranchPolicy(dataset_service_pb2.UpdateBranchPolicyRequest(policy=policy))
    good, short = _record("El sistema apunta los pedidos de la panadería. " * 4), _record("Demasiado corta.")
    for number, (output, stars) in enumerate([(good, 5), (short, 5), (good.replace("Pedidos", "Compras"), 3)]):
        asked = feedback_pb2.OutputRating(concept=f"una panadería {number}", output=output, rating=stars)
        request = feedback_service_pb2.RateOutputRequest(
            parent="branches/ba", output_rating=asked, request_id=f"q{number}"
        )
        await client.feedback.RateOutput(request)
    consolidate = feedback_service_pb2.ConsolidateSamplesRequest(parent="branches/ba", request_id="r1")
    [version] = (await client.feedback.ConsolidateSamples(consolidate)).dataset_versions
    watch = dataset_service_pb2.WatchDatasetVersionRequest(name=version.name)
    version = [state async for state in client.dataset.WatchDatasetVersion(watch)][-1]
    assert version.state == dataset_pb2.DATASET_VERSION_STATE_READY
    assert version.profile == "business-requirements"
    assert version.row_count == 1
    assert dict(version.selection.rows_left_out) == {"TEXT_LENGTH": 1}


async def test_a_policy_travels_whole_and_a_stale_one_is_aborted(client: Client) -> None:
    policy = await client.policy()
    assert policy.min_attempt_accuracy == 0.95
    assert policy.consolidation_schedule == "0 2 * * *"
    stale = policy.etag
    policy.trusted_keys["Íñigo"] = bytes(range(32))
    policy.personal_data = branch_policy_pb2.PERSONAL_DATA_RULE_REFUSE
    request = dataset_service_pb2.UpdateBranchPolicyRequest(policy=policy)
    updated = await client.dataset.UpdateBranchPolicy(request)
    assert updated == await client.policy()
    assert dict(updated.trusted_keys) == {"Íñigo": bytes(range(32))}
    policy.etag = stale
    with pytest.raises(Superseded):
        await client.dataset.UpdateBranchPolicy(dataset_service_pb2.UpdateBranchPolicyRequest(policy=policy))
    empty = branch_policy_pb2.BranchPolicy(name=policy.name, profile="nada", sample_size=1, min_rating=1)
    with pytest.raises(InvalidInput) as refused:
        await client.dataset.UpdateBranchPolicy(dataset_service_pb2.UpdateBranchPolicyRequest(policy=empty))
    assert {violation.field for violation in refused.value.violations} == {"policy.personal_data", "policy.profile"}


async def test_triggers_are_listed_changed_explained_and_deleted(client: Client) -> None:
    name = f"{BRANCH}/triggers/mensual"
    monthly = trigger_pb2.Trigger(schedule=trigger_pb2.ScheduleCondition(cron="0 0 1 * *"))
    create = trigger_service_pb2.CreateTriggerRequest(parent=BRANCH, trigger_id="mensual", trigger=monthly)
    made = await client.triggers.CreateTrigger(create)
    assert made.schedule.cron == "0 0 1 * *"
    explanation = await client.triggers.ExplainTrigger(trigger_service_pb2.ExplainTriggerRequest(name=name))
    assert not explanation.would_fire
    assert "due next" in explanation.why
    made.accuracy.CopyFrom(trigger_pb2.AccuracyCondition(min_mean_accuracy=0.92, cycles=2))
    made.disabled = True
    changed = await client.triggers.UpdateTrigger(trigger_service_pb2.UpdateTriggerRequest(trigger=made))
    assert changed == await client.triggers.GetTrigger(trigger_service_pb2.GetTriggerRequest(name=name))
    assert changed.accuracy.cycles == 2
    listed = await client.triggers.ListTriggers(trigger_service_pb2.ListTriggersRequest(parent=BRANCH))
    assert changed in listed.triggers
    await client.triggers.DeleteTrigger(trigger_service_pb2.DeleteTriggerRequest(name=name))
    with pytest.raises(NotFound):
        await client.triggers.GetTrigger(trigger_service_pb2.GetTriggerRequest(name=name))
    for wrong in ("", "mensual", f"{name}/firings/1"):
        made.name = wrong
        with pytest.raises(InvalidInput) as refused:
            await client.triggers.UpdateTrigger(trigger_service_pb2.UpdateTriggerRequest(trigger=made))
        assert [violation.field for violation in refused.value.violations] == ["trigger.name"]
    create.trigger.schedule.cron = "mañana por la tarde"
    with pytest.raises(InvalidInput) as refused:
        await client.triggers.CreateTrigger(create)
    assert [violation.field for violation in refused.value.violations] == ["trigger.schedule.cron"]


def _record(description: str) -> str:
    sections = {"functional_requirements": "FR", "non_functional_requirements": "NFR", "constraints": "C"}
    items = {
        name: [{"id": f"{prefix}{number:03}", "description": f"Punto {number}"} for number in (1, 2)]
        for name, prefix in sections.items()
    }
    return json.dumps({"title": "Pedidos de una panadería", "description": description} | items, ensure_ascii=False)


def _databases(data_dir: Path) -> list[Path]:
    return [path for path in data_dir.rglob("*.db") if path.is_file()]


def _events(data_dir: Path) -> str:
    """Everything that the outboxes of the suite hold, sent or not."""
    told = ""
    for path in _databases(data_dir):
        with sqlite3.connect(path) as connection:
            for (payload,) in connection.execute("SELECT payload FROM outbox"):
                told += json.dumps(json.loads(payload), ensure_ascii=False)
    return told


def _tables_with(data_dir: Path, text: str) -> set[str]:
    """Names of all tables of the suite in which a text, or its base64, can be read."""
    found = set()
    for path in _databases(data_dir):
        with sqlite3.connect(path) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                content = repr(connection.execute(f'SELECT * FROM "{table}"').fetchall())  # names come from the schema
                if text in content or base64.b64encode(text.encode()).decode() in content:
                    found.add(table)
    return found
