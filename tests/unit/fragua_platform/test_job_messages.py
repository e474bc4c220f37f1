"""What clients and events are told of a job that failed."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
import pytest

from fragua_platform.errors import FailureClass
from fragua_platform.jobs import job as life
from fragua_platform.jobs.events import status_to_message
from fragua_platform.jobs.job import Job, JobFailure
from tests.jobs import new_job

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def failed(failure: JobFailure) -> Job:
    return life.failed(life.claimed(new_job(), "worker", NOW, NOW), 1, failure, {}, NOW)


@pytest.mark.parametrize(
    ("failure_class", "code"),
    [
        (FailureClass.USER_DATA, grpc.StatusCode.INVALID_ARGUMENT),
        (FailureClass.USER_CONFIG, grpc.StatusCode.INVALID_ARGUMENT),
        (FailureClass.CAPACITY, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (FailureClass.INTERNAL, grpc.StatusCode.INTERNAL),
    ],
)
def test_the_code_of_a_failure_says_whose_move_it_is(failure_class: FailureClass, code: grpc.StatusCode) -> None:
    status = status_to_message(failed(JobFailure(failure_class, "BAD_ROWS", "fila 3: año vacío")))
    assert (status.error.code, status.error.message) == (code.value[0], "fila 3: año vacío")
