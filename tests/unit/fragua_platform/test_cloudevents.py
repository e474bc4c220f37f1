"""CloudEvents on the wire: what goes out comes back, and what is no event says why."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragua.common.v1.job_events_pb2 import JobDeadLettered, JobStateChanged
from fragua_platform.errors import InvalidData, InvalidInput
from fragua_platform.events.cloudevents import CloudEvent, body_as, event_from_wire, new_event

NAME = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters=".*>"), min_size=1)


def failed_job() -> JobStateChanged:
    return JobStateChanged(job="branches/tutor/trainingJobs/7", branch="tutor", failure_message="línea 17: «¿rol?»")


@given(branch=NAME, identifier=NAME)
def test_an_event_survives_the_wire_in_ascii_headers(branch: str, identifier: str) -> None:
    sent = CloudEvent(
        id=identifier,
        subject=f"fragua.v1.{branch}.trainer.job.failed",
        source="/fragua/trainer",
        type="fragua.common.v1.JobStateChanged",
        time=datetime(2026, 11, 20, 12, 30, 15, 250_000, tzinfo=UTC),
        body="{ñ}".encode(),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )

    headers = sent.headers()

    assert all(value.isascii() and value.isprintable() and " " not in value for value in headers.values())
    assert event_from_wire(headers, sent.body) == sent


def test_a_new_event_tells_its_branch_its_type_and_its_message() -> None:
    event = new_event("tutor", "trainer", "job", "failed", failed_job())

    assert event.subject == "fragua.v1.tutor.trainer.job.failed"
    assert event.branch == "tutor"
    assert (event.source, event.type) == ("/fragua/trainer", "fragua.common.v1.JobStateChanged")
    assert "línea 17: «¿rol?»" in event.body.decode()
    assert body_as(event, JobStateChanged) == failed_job()


@pytest.mark.parametrize("branch", ["", "a.b", "a b", "*", ">"])
def test_a_name_that_would_change_the_subject_is_refused(branch: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be part of a subject"):
        new_event(branch, "trainer", "job", "failed", failed_job())


def test_header_names_are_compared_without_case() -> None:
    event = new_event("tutor", "trainer", "job", "failed", failed_job())
    shouted = {name.upper(): value for name, value in event.headers().items()}

    assert event_from_wire(shouted, event.body) == event


@pytest.mark.parametrize(
    ("header", "value", "problem"),
    [
        ("ce-id", "", "no header ce-id"),
        ("ce-specversion", "0.3", "CloudEvents 0.3 is not understood"),
        ("ce-time", "yesterday", "'yesterday' is not an RFC 3339 time"),
        ("ce-time", "2026-11-20T12:00:00", "no time zone"),
        ("ce-subject", "fragua.v1.tutor.trainer", "is not fragua.v1.<branch>"),
        ("ce-subject", "fragua.v2.tutor.trainer.job.failed", "is not fragua.v1.<branch>"),
        ("ce-subject", "fragua.v1..trainer.job.failed", "is not fragua.v1.<branch>"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(header: str, value: str, problem: str) -> None:
    headers = new_event("tutor", "trainer", "job", "failed", failed_job()).headers() | {header: value}

    with pytest.raises(InvalidData, match=problem):
        event_from_wire(headers, b"{}")


def test_a_newer_publishers_field_does_not_break_an_older_reader() -> None:
    event = new_event("tutor", "trainer", "job", "failed", failed_job())
    newer = json.dumps({"branch": "tutor", "fieldOfNextYear": [1, 2]}).encode()
    event = event_from_wire(event.headers(), newer)

    assert body_as(event, JobStateChanged) == JobStateChanged(branch="tutor")


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b'{"branch": 7}'])
def test_a_broken_body_names_the_event(body: bytes) -> None:
    event = event_from_wire(new_event("tutor", "trainer", "job", "failed", failed_job()).headers(), body)

    with pytest.raises(InvalidData, match=event.id):
        body_as(event, JobStateChanged)


def test_the_wrong_type_is_named_with_the_expected_one() -> None:
    event = new_event("tutor", "trainer", "job", "failed", failed_job())

    with pytest.raises(InvalidData, match=r"carries fragua.common.v1.JobStateChanged, expected .*JobDeadLettered"):
        body_as(event, JobDeadLettered)
