"""Shows trainings as runs of an MLflow server, for teams that compare their experiments there.

MLflow is a mirror and decides nothing: what is told to it waits in a queue of this process, a thread sends it over
MLflow's REST interface, and what the server does not take is logged and left out. So an MLflow that is slow or away costs
a training nothing. One training job is one run, whatever workers it had: it is found again by its tag.
"""

from __future__ import annotations

import atexit
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import httpx
import structlog

from fragua_platform.jobs.job import Job, JobState
from fragua_trainer.domain.training_order import ResolvedOrder

log = structlog.get_logger()

_STATUS: Final = {
    JobState.QUEUED: "SCHEDULED",
    JobState.PAUSED: "SCHEDULED",
    JobState.RUNNING: "RUNNING",
    JobState.SUCCEEDED: "FINISHED",
    JobState.FAILED: "FAILED",
    JobState.CANCELLED: "KILLED",
}
_JOB_TAG: Final = "fragua.training_job"
_WAITING: Final = 10_000
"""News that may wait for a server that is away; more is left out."""
_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 5.0
_LONGEST_VALUE: Final = 500
_KNOWN_RUNS: Final = 1000


class MlflowRuns:
    """`follow` and `measured` return at once and may be called in a transaction."""

    def __init__(self, tracking_uri: str) -> None:
        self._http = httpx.Client(base_url=tracking_uri.rstrip("/") + "/api/2.0/mlflow/", timeout=_SECONDS)
        self._news: queue.Queue[Callable[[], None] | None] = queue.Queue(_WAITING)
        self._runs: dict[str, str] = {}
        self._thread = threading.Thread(target=self._send_all, name="mlflow", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def follow(self, job: Job) -> None:
        """The job changed its state."""
        if job.attempt:  # Before, nothing was run.
            self._put(partial(self._tell_state, job))

    def measured(self, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        now = _milliseconds()
        points = [{"key": key, "value": value, "step": step, "timestamp": now} for key, value in metrics.items()]
        self._put(partial(self._tell, job, "runs/log-batch", metrics=points))

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        atexit.unregister(self.close)
        self._news.put(None)
        self._thread.join(_LAST_SECONDS)

    def _put(self, news: Callable[[], None]) -> None:
        try:
            self._news.put_nowait(news)
        except queue.Full:
            log.warning("mlflow_left_out", waiting=_WAITING)

    def _send_all(self) -> None:
        while (news := self._news.get()) is not None:
            try:
                news()
            except httpx.HTTPError as error:
                # Neither the address nor the answer, which may hold a password: the class tells enough.
                status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
                log.warning("mlflow_left_out", cause=type(error).__name__, status=status)
            except Exception:  # a mirror that breaks must not go unnoticed, and must not end
                log.exception("mlflow_left_out")

    def _tell_state(self, job: Job) -> None:
        if job.state is JobState.RUNNING and job.attempt == 1:
            self._tell(job, "runs/log-batch", params=_params(job))
        if job.state.terminal and (tags := _tags(job)):
            self._tell(job, "runs/log-batch", tags=tags)
        ended = {"end_time": _milliseconds()} if job.state.terminal else {}
        self._tell(job, "runs/update", status=_STATUS[job.state], **ended)

    def _tell(self, job: Job, call: str, **fields: Any) -> None:
        self._post(call, run_id=self._run_of(job), **fields)

    def _run_of(self, job: Job) -> str:
        if job.name not in self._runs:
            while len(self._runs) >= _KNOWN_RUNS:
                self._runs.pop(next(iter(self._runs)))
            experiment = self._experiment_of(job.branch)
            self._runs[job.name] = self._known_run(experiment, job.name) or self._new_run(experiment, job)
        return self._runs[job.name]

    def _experiment_of(self, branch: str) -> str:
        name = f"fragua/{branch}"
        found = self._http.get("experiments/get-by-name", params={"experiment_name": name})
        if found.status_code == httpx.codes.NOT_FOUND:
            return str(self._post("experiments/create", name=name)["experiment_id"])
        return str(found.raise_for_status().json()["experiment"]["experiment_id"])

    def _known_run(self, experiment: str, job_name: str) -> str | None:
        found = self._post(
            "runs/search", experiment_ids=[experiment], filter=f"tags.`{_JOB_TAG}` = '{job_name}'", max_results=1
        )
        return str(found["runs"][0]["info"]["run_id"]) if found.get("runs") else None

    def _new_run(self, experiment: str, job: Job) -> str:
        tags = [{"key": _JOB_TAG, "value": job.name}]
        made = self._post(
            "runs/create",
            experiment_id=experiment,
            run_name=job.id,
            start_time=int((job.started or job.created).timestamp() * 1000),
            tags=tags,
        )
        return str(made["run"]["info"]["run_id"])

    def _post(self, call: str, **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._http.post(call, json=fields).raise_for_status().json()
        return answer


def _params(job: Job) -> Sequence[Mapping[str, str]]:
    """What the run was asked for: its references, and every value of the specification."""
    order = ResolvedOrder.model_validate(job.spec).order
    values = {"dataset_version": order.dataset_version, "base_model": order.base_model, "preset": order.preset}
    values |= _flat(order.spec.model_dump(mode="json", exclude={"provenance"}, exclude_none=True))
    return [{"key": key, "value": str(value)[:_LONGEST_VALUE]} for key, value in values.items() if value != ""]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _tags(job: Job) -> Sequence[Mapping[str, str]]:
    """Where the adapter lies, or why there is none."""
    tags = {"fragua.attempts": str(job.attempt)}
    if bundle := job.result.get("bundle"):
        tags |= {"fragua.adapter": bundle["prefix"], "fragua.manifest_sha256": bundle["manifest_sha256"]}
    if job.failure:
        # What follows the first line may quote the user's data.
        tags["fragua.failure"] = f"{job.failure.reason}: {job.failure.message.partition(chr(10))[0]}"[:_LONGEST_VALUE]
    return [{"key": key, "value": value} for key, value in tags.items()]


def _milliseconds() -> int:
    return int(time.time() * 1000)
