"""Attempts, ratings, consolidation and triggers on the databases that the suite runs on, with several replicas."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua_dataset.application.policies import PolicyChanged
from fragua_dataset.domain.attempts import Tally
from fragua_dataset.domain.triggers import AccuracyCondition, SampleCountCondition, ScheduleCondition
from fragua_dataset.domain.version import Origin
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.database import Database
from fragua_platform.errors import AlreadyExists, InvalidInput, NotFound
from fragua_platform.paging import PageRequest
from tests.integration.feedback_site import BRANCH, Clock, FeedbackSite, attempt

FIRST = PageRequest(50)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'dataset.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )


@pytest.fixture
async def replicas(url: str, tmp_path: Path) -> AsyncIterator[tuple[FeedbackSite, FeedbackSite]]:
    """Two replicas of the service: a database connection each, one clock, one store."""
    clock, databases = Clock(), (Database(url), Database(url))
    one, other = (FeedbackSite(database, tmp_path, clock) for database in databases)
    await one.begin()
    yield one, other
    for database in databases:
        await database.close()


@pytest.fixture
def site(replicas: tuple[FeedbackSite, FeedbackSite]) -> FeedbackSite:
    return replicas[0]


async def rows_of(site: FeedbackSite, version: str) -> list[dict[str, Any]]:
    """What a consolidation wrote for the engine to read."""
    found = await site.versions.get(version)
    assert found.version.origin is Origin.CONSOLIDATION
    source = found.order.source
    assert source is not None
    content = b"".join([chunk async for chunk in site.store.read(ArtifactRef(source.key, source.size, source.sha256))])
    return [json.loads(line) for line in content.splitlines()]


async def consolidate(site: FeedbackSite, request_id: str, exercise_type: str = "") -> list[str]:
    made = await site.consolidations.on_request(BRANCH, exercise_type, request_id)
    return [each.version.name for each in made]


# --- attempts


# R3, R9
async def test_accurate_attempts_become_samples_and_the_others_are_only_counted(site: FeedbackSite) -> None:
    batch = [attempt(1, 0.95), attempt(2, 1.0), attempt(3, 0.9499), attempt(4, 0.97, "oral")]
    assert await site.feedback.take_in(BRANCH, batch) == Tally(received=4, accepted=3, below_accuracy=1)

    progress = await site.feedback.progress(BRANCH)
    open_ones, oral = progress.exercise_types
    assert (open_ones.samples, open_ones.new_samples, open_ones.below_accuracy) == (2, 2, 1)
    assert open_ones.mean_accuracy == pytest.approx((0.95 + 1.0 + 0.9499) / 3)
    assert (oral.exercise_type, oral.samples) == ("oral", 1)
    kept = [row["metadata"]["attempt"] for name in await consolidate(site, "r1") for row in await rows_of(site, name)]
    assert kept == ["intento-000001", "intento-000002", "intento-000004"]


async def test_a_stream_that_is_sent_again_changes_nothing(site: FeedbackSite) -> None:
    batch = [attempt(number, 0.9 + number / 100) for number in range(10)]
    first = await site.feedback.take_in(BRANCH, batch[:7])
    before = await site.feedback.progress(BRANCH)
    again = await site.feedback.take_in(BRANCH, batch[:7])
    assert (first.repeated, again.repeated, again.accepted, again.below_accuracy) == (0, 7, 0, 0)
    assert await site.feedback.progress(BRANCH) == before
    whole = await site.feedback.take_in(BRANCH, batch)
    assert (whole.received, whole.repeated, whole.accepted) == (10, 7, 3)


async def test_an_attempt_that_a_batch_holds_twice_counts_once(site: FeedbackSite) -> None:
    tally = await site.feedback.take_in(BRANCH, [attempt(1), attempt(1), attempt(2)])
    assert (tally.received, tally.accepted, tally.repeated) == (3, 2, 1)


async def test_two_streams_with_the_same_attempts_at_once_count_each_once(
    replicas: tuple[FeedbackSite, FeedbackSite],
) -> None:
    one, other = replicas
    batch = [attempt(number) for number in range(300)]
    tallies = await asyncio.gather(
        *(
            site.feedback.take_in(BRANCH, batch[start:] + batch[:start])
            for site in (one, other)
            for start in (0, 77, 199)
        )
    )
    assert sum(tally.accepted for tally in tallies) == 300
    [progress] = (await one.feedback.progress(BRANCH)).exercise_types
    assert progress.samples == 300


async def test_a_batch_with_a_problem_is_refused_whole_and_every_item_is_named(site: FeedbackSite) -> None:
    good = attempt(1)
    bad = replace(good, attempt_id="malo", snapshot=replace(good.snapshot, choices=("a", "a")))
    with pytest.raises(InvalidInput) as refused:
        await site.feedback.take_in(BRANCH, [good, bad, attempt(2, question="  ")])
    assert [violation.field for violation in refused.value.violations] == [
        "batch.attempts[1].choices",
        "batch.attempts[1].answer",
        "batch.attempts[2].question",
    ]
    assert (await site.feedback.progress(BRANCH)).exercise_types == []


async def test_the_branchs_own_policy_says_what_is_accurate_enough(site: FeedbackSite) -> None:
    await site.change_policy(min_attempt_accuracy=0.5)
    assert (await site.feedback.take_in(BRANCH, [attempt(1, 0.5), attempt(2, 0.49)])).accepted == 1


async def test_attempts_of_an_unknown_branch_are_refused(site: FeedbackSite) -> None:
    with pytest.raises(NotFound, match="branches/nadie"):
        await site.feedback.take_in("nadie", [attempt(1)])


# R31
async def test_an_error_of_the_database_quotes_neither_user_nor_answer_nor_output(site: FeedbackSite) -> None:
    def take_tables_away(connection: Connection) -> None:
        for table in ("samples", "user_branch_progress", "output_ratings"):
            connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO {table}_away"))

    await site.database.run(take_tables_away)
    for breaking in (
        site.feedback.take_in(BRANCH, [attempt(1, answer="El ornitorrinco.")]),
        site.feedback.rate(BRANCH, concept="x", output="El ornitorrinco.", rating=5, model="", request_id="q1"),
    ):
        with pytest.raises(sa.exc.DBAPIError) as broken:
            await breaking
        told = "".join(traceback.format_exception(broken.value))
        assert "ornitorrinco" not in told
        assert "usuaria" not in told


# --- ratings


# R171
async def test_well_rated_outputs_go_to_the_pool_and_the_others_do_not(site: FeedbackSite) -> None:
    async def rate(stars: int, request_id: str) -> bool:
        kept = await site.feedback.rate(
            BRANCH, concept="una panadería", output=f"title: Pan {stars}", rating=stars, model="", request_id=request_id
        )
        return kept.pooled

    assert [await rate(stars, f"q{stars}") for stars in (3, 4, 5)] == [False, True, True]
    assert await rate(5, "q5"), "the same request again"
    with pytest.raises(AlreadyExists, match="request_id"):
        await rate(1, "q5")
    progress = await site.feedback.progress(BRANCH)
    assert (progress.pooled_outputs, progress.rated_outputs) == (2, 3)

    [version] = await consolidate(site, "r1")
    assert "/datasets/feedback/versions/" in version
    rows = await rows_of(site, version)
    assert [(row["messages"][1]["content"], row["metadata"]["rating"]) for row in rows] == [
        ("title: Pan 4", 4),
        ("title: Pan 5", 5),
    ]
    assert (await site.feedback.progress(BRANCH)).pooled_outputs == 0


# --- consolidation


# R10, R11
async def test_consolidation_makes_a_version_of_each_type_with_all_samples_so_far(site: FeedbackSite) -> None:
    await site.feedback.take_in(BRANCH, [attempt(1), attempt(2, exercise_type="oral")])
    open_one, oral = await consolidate(site, "r1")
    assert open_one.startswith("branches/tutor/datasets/open/versions/20")
    assert [row["metadata"]["type"] for row in await rows_of(site, oral)] == ["oral"]

    await site.feedback.take_in(BRANCH, [attempt(3)])
    [second] = await consolidate(site, "r2")
    assert [row["metadata"]["attempt"] for row in await rows_of(site, second)] == ["intento-000001", "intento-000003"]
    assert await consolidate(site, "r2") == [second], "the same request again"
    assert await consolidate(site, "r3") == [], "nothing is new"
    assert [each.new_samples for each in (await site.feedback.progress(BRANCH)).exercise_types] == [0, 0]


async def test_one_exercise_type_can_be_consolidated_alone(site: FeedbackSite) -> None:
    await site.feedback.take_in(BRANCH, [attempt(1), attempt(2, exercise_type="oral")])
    [oral] = await consolidate(site, "r1", "oral")
    assert "/datasets/oral/" in oral
    progress = await site.feedback.progress(BRANCH)
    assert {each.exercise_type: each.new_samples for each in progress.exercise_types} == {"open": 1, "oral": 0}
    assert not progress.cycles, "a cycle is one of the whole branch"
    with pytest.raises(AlreadyExists, match="oral"):
        await consolidate(site, "r1", "open")


async def test_the_schedule_consolidates_once_for_each_point_over_several_replicas(
    replicas: tuple[FeedbackSite, FeedbackSite],
) -> None:
    one, other = replicas
    await one.feedback.take_in(BRANCH, [attempt(1)])
    await one.scheduler.look()
    assert not (await one.versions.list(f"branches/{BRANCH}", FIRST)).items, "two o'clock has not come yet"

    # Three nights pass while nothing runs: they are made up for once.
    one.clock.now += timedelta(days=3)
    await asyncio.gather(*(site.scheduler.look() for site in (one, other, one, other)))
    [version] = (await one.versions.list(f"branches/{BRANCH}", FIRST)).items
    assert len(await rows_of(one, version.version.name)) == 1

    await one.feedback.take_in(BRANCH, [attempt(2)])
    await asyncio.gather(*(site.scheduler.look() for site in (one, other)))
    assert len((await one.versions.list(f"branches/{BRANCH}", FIRST)).items) == 1, "that night is over"
    one.clock.now += timedelta(days=1)
    await asyncio.gather(*(site.scheduler.look() for site in (one, other)))
    assert len((await one.versions.list(f"branches/{BRANCH}", FIRST)).items) == 2


async def test_without_a_schedule_nothing_is_consolidated(site: FeedbackSite) -> None:
    await site.change_policy(consolidation_schedule="")
    await site.feedback.take_in(BRANCH, [attempt(1)])
    site.clock.now += timedelta(days=400)
    await site.scheduler.look()
    assert not (await site.versions.list(f"branches/{BRANCH}", FIRST)).items


async def test_nothing_is_lost_or_doubled_when_attempts_come_in_while_others_consolidate(
    replicas: tuple[FeedbackSite, FeedbackSite],
) -> None:
    one, other = replicas

    async def keep_sending(site: FeedbackSite, first: int) -> None:
        for number in range(first, first + 10):
            await site.feedback.take_in(BRANCH, [attempt(number * 20 + i, 0.94 + i % 5 / 100) for i in range(20)])

    async def keep_consolidating(site: FeedbackSite, name: str) -> None:
        for number in range(5):
            await consolidate(site, f"{name}-{number}")

    await asyncio.gather(
        keep_sending(one, 0), keep_sending(other, 10), keep_consolidating(one, "a"), keep_consolidating(other, "b")
    )
    await consolidate(one, "last")
    progress = await one.feedback.progress(BRANCH)
    assert (progress.exercise_types[0].samples, progress.exercise_types[0].new_samples) == (320, 0)
    assert sum(cycle.attempts for cycle in progress.cycles) == 400
    versions = (await one.versions.list(f"branches/{BRANCH}", FIRST)).items
    newest = max(versions, key=lambda each: each.version.created).version.name
    assert len({row["metadata"]["attempt"] for row in await rows_of(one, newest)}) == 320


async def test_a_consolidation_whose_process_died_midway_is_finished_by_another(
    replicas: tuple[FeedbackSite, FeedbackSite], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = replicas
    await one.feedback.take_in(BRANCH, [attempt(1), attempt(2, exercise_type="oral")])

    async def die(*_: Any, **__: Any) -> None:
        raise ConnectionAbortedError

    with monkeypatch.context() as patch:
        patch.setattr(one.store, "put_file", die)
        with pytest.raises(ConnectionAbortedError):
            await consolidate(one, "r1")
    # New samples that come in between belong to the next one.
    await one.feedback.take_in(BRANCH, [attempt(3)])
    await other.scheduler.look()
    made = await consolidate(one, "r1")
    assert [len(await rows_of(one, name)) for name in made] == [1, 1]


# --- cycles and triggers


# R28
async def test_cycles_end_with_consolidations_and_two_good_ones_fire_once(site: FeedbackSite) -> None:
    condition = AccuracyCondition(min_mean_accuracy=0.92, cycles=2)
    await site.triggers.create(BRANCH, "accuracy", condition, disabled=False)

    async def cycle(number: int, *accuracies: float) -> None:
        await site.feedback.take_in(BRANCH, [attempt(number * 100 + i, each) for i, each in enumerate(accuracies)])
        await consolidate(site, f"r{number}")

    await cycle(1, 0.9, 0.8)  # nothing of this becomes a sample, and it counts all the same
    await cycle(2, 0.98)
    assert "1 cycles" not in (await site.triggers.explain(BRANCH, "accuracy")).why
    assert not await site.firings()
    await cycle(3, 0.9, 0.96)
    [fired] = await site.firings()
    assert fired.cause == "branches/tutor/cycles/3"
    assert "98.0%, 93.0% over 3 attempts" in fired.why
    await cycle(4, 1.0)
    await site.triggers.look_at(BRANCH)
    assert len(await site.firings()) == 1, "the cycles of a firing do not count towards the next"
    await cycle(5, 1.0)
    assert len(await site.firings()) == 2
    cycles = (await site.feedback.progress(BRANCH)).cycles
    assert [cycle.number for cycle in cycles] == [5, 4, 3, 2, 1]
    assert cycles[-1].mean_accuracy == pytest.approx(0.85)


# R18
async def test_enough_samples_in_a_ready_version_fire_once_for_it(
    replicas: tuple[FeedbackSite, FeedbackSite],
) -> None:
    one, other = replicas
    condition = SampleCountCondition(min_samples=3, exercise_type="open")
    await one.triggers.create(BRANCH, "samples", condition, disabled=False)
    await one.feedback.take_in(BRANCH, [attempt(number) for number in range(3)])
    [version] = await consolidate(one, "r1")
    await one.triggers.look_at(BRANCH)
    assert not await one.firings(), "it is not READY yet"
    assert "READY" in (await one.triggers.explain(BRANCH, "samples")).why

    await one.finish(version, rows=3)
    assert (await one.triggers.explain(BRANCH, "samples")).causes
    # Both replicas hear of it, several times.
    await asyncio.gather(*(site.triggers.look_at(BRANCH) for site in (one, other) * 5))
    [fired] = await one.firings()
    assert fired.cause == f"{version}#open"
    assert list(fired.dataset_versions) == [version]
    assert fired.why == "open has 3 samples, at least 3 were asked for"
    [listed] = (await one.triggers.firings(BRANCH, "samples", FIRST)).items
    assert listed.name == fired.firing
    assert "already" in (await one.triggers.explain(BRANCH, "samples")).why


# R60, R172
async def test_a_monthly_trigger_fires_once_for_the_last_month_that_passed(
    replicas: tuple[FeedbackSite, FeedbackSite],
) -> None:
    one, other = replicas
    one.clock.now = NOON
    await one.triggers.create(BRANCH, "monthly", ScheduleCondition(cron="0 0 1 * *"), disabled=False)
    await one.scheduler.look()
    assert not await one.firings(), "the first of November was before the trigger was made"
    one.clock.now = datetime(2027, 2, 10, tzinfo=UTC)
    await asyncio.gather(*(site.scheduler.look() for site in (one, other) * 4))
    [fired] = await one.firings()
    assert fired.cause == "2027-02-01T00:00:00Z"
    one.clock.now = datetime(2027, 3, 1, tzinfo=UTC)
    await asyncio.gather(*(site.scheduler.look() for site in (one, other)))
    assert [each.cause for each in await one.firings()] == ["2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"]


async def test_points_that_pass_while_a_trigger_is_disabled_do_not_count(site: FeedbackSite) -> None:
    site.clock.now = NOON
    daily = ScheduleCondition(cron="0 0 * * *")
    await site.triggers.create(BRANCH, "daily", daily, disabled=True)
    site.clock.now += timedelta(days=2)
    await site.scheduler.look()
    await site.triggers.update(BRANCH, "daily", daily, disabled=False)
    assert not await site.firings()
    site.clock.now += timedelta(days=1)
    await site.scheduler.look()
    assert [each.cause for each in await site.firings()] == ["2026-11-23T00:00:00Z"]


async def test_creating_a_trigger_again_is_harmless_and_another_condition_is_refused(site: FeedbackSite) -> None:
    condition = SampleCountCondition(min_samples=200)
    first = await site.triggers.create(BRANCH, "samples", condition, disabled=False)
    assert await site.triggers.create(BRANCH, "samples", condition, disabled=False) == first
    with pytest.raises(AlreadyExists):
        await site.triggers.create(BRANCH, "samples", SampleCountCondition(min_samples=1), disabled=False)
    with pytest.raises(InvalidInput) as refused:
        await site.triggers.create(BRANCH, "nunca", ScheduleCondition(cron="0 0 31 2 *"), disabled=False)
    assert [violation.field for violation in refused.value.violations] == ["trigger.schedule.cron"]


async def test_firings_go_with_their_trigger(site: FeedbackSite) -> None:
    site.clock.now = NOON
    await site.triggers.create(BRANCH, "daily", ScheduleCondition(cron="0 0 * * *"), disabled=False)
    site.clock.now += timedelta(days=1)
    await site.scheduler.look()
    await site.triggers.delete(BRANCH, "daily")
    with pytest.raises(NotFound):
        await site.triggers.get(BRANCH, "daily")
    await site.triggers.create(BRANCH, "daily", ScheduleCondition(cron="0 0 * * *"), disabled=False)
    assert not (await site.triggers.firings(BRANCH, "daily", FIRST)).items


# --- policies


async def test_a_policy_is_the_packaged_one_until_somebody_changes_it(site: FeedbackSite) -> None:
    before = await site.policies.get(BRANCH)
    assert (before.policy.min_attempt_accuracy, before.policy.min_rating, before.updated) == (0.95, 4, None)
    fields = before.policy.model_dump() | {"trusted_keys": {"Íñigo": bytes(range(32))}, "sample_size": 50}
    after = await site.policies.update(BRANCH, fields, before.etag)
    assert (await site.policies.get(BRANCH)).policy == after.policy
    assert after.policy.trusted_keys == {"Íñigo": bytes(range(32))}
    assert after.etag != before.etag
    with pytest.raises(PolicyChanged):
        await site.policies.update(BRANCH, fields, before.etag)
    assert (await site.policies.update(BRANCH, fields, "")).etag != after.etag


async def test_of_two_updates_at_once_one_wins_and_the_other_is_told(
    replicas: tuple[FeedbackSite, FeedbackSite],
) -> None:
    before = await replicas[0].policies.get(BRANCH)
    answers = await asyncio.gather(
        *(
            site.policies.update(BRANCH, before.policy.model_dump() | {"sample_size": size}, before.etag)
            for size, site in enumerate(replicas, start=1)
        ),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["KeptPolicy", "PolicyChanged"]


async def test_all_that_is_wrong_with_a_policy_is_told_at_once(site: FeedbackSite) -> None:
    policy = (await site.policies.get(BRANCH)).policy.model_dump()
    wrong = {
        "consolidation_schedule": "a las dos",
        "profile": "nada",
        "personal_data": "",
        "trusted_keys": {"yo": b"1"},
    }
    with pytest.raises(InvalidInput) as refused:
        await site.policies.update(BRANCH, policy | wrong, "")
    assert {violation.field for violation in refused.value.violations} == {
        "policy.consolidation_schedule",
        "policy.profile",
        "policy.personal_data",
        "policy.trusted_keys.yo",
    }
