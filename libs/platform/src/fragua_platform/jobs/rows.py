"""A job as a row of the job table, and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from fragua_platform.errors import FailureClass
from fragua_platform.jobs.job import Job, JobFailure, JobState, Progress


def row_of(job: Job) -> dict[str, Any]:
    values = {name: getattr(job, name) for name in job.__dataclass_fields__}
    values["state"] = job.state.value
    values["spec"] = dict(job.spec)
    values["result"] = dict(job.result)
    progress = asdict(job.progress)
    progress["updated"] = job.progress.updated.isoformat() if job.progress.updated else None
    values["progress"] = progress
    values["failure"] = asdict(job.failure) if job.failure else None
    return values


def job_of(row: sa.Row[Any]) -> Job:
    values = dict(row._mapping)
    values["state"] = JobState(values["state"])
    progress = dict(values["progress"])
    progress["updated"] = datetime.fromisoformat(progress["updated"]) if progress["updated"] else None
    values["progress"] = Progress(**progress)
    if failure := values["failure"]:
        values["failure"] = JobFailure(
            FailureClass(failure["failure_class"]),
            failure["reason"],
            failure["message"],
            tuple((field, description) for field, description in failure["violations"]),
        )
    return Job(**values)
