"""Follows a job to its end: a live bar on a terminal, now and then a line elsewhere, one JSON line per change."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from fragua.common.v1 import job_pb2
from fragua_cli.loss_course import LossCourse
from fragua_cli.output import Output
from fragua_cli.suite import J

_SECONDS_BETWEEN_LINES: Final = 10.0


async def follow(output: Output, label: str, states: AsyncIterator[J]) -> J:
    """Show every state that the stream brings, and return the last one."""
    last: J | None = None
    with _view(output, label) as view:
        async for state in states:
            last = state
            view.show(state)
    assert last is not None, "a watch ends with a terminal state"
    return last


def state_name(status: job_pb2.JobStatus) -> str:
    return job_pb2.JobState.Name(status.state).removeprefix("JOB_STATE_")


class _View(Protocol):
    def show(self, resource: Any) -> None: ...


@contextmanager
def _view(output: Output, label: str) -> Iterator[_View]:
    if output.as_json:
        yield _JsonLines(output)
    elif output.live:
        with _progress(output) as progress:
            yield _Bar(progress, label)
    else:
        yield _Lines(output, label)


class _JsonLines:
    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, resource: Any) -> None:
        self._output.update(resource)


class _Lines:
    """A line for every new state, phase or attempt, and one every few seconds in between."""

    def __init__(self, output: Output, label: str) -> None:
        self._output = output
        self._label = label
        self._shown: tuple[Any, ...] = ()
        self._shown_at = 0.0

    def show(self, resource: Any) -> None:
        status = resource.status
        kind = (status.state, status.progress.phase, status.attempt)
        now = time.monotonic()
        if kind == self._shown and now - self._shown_at < _SECONDS_BETWEEN_LINES:
            return
        self._shown, self._shown_at = kind, now
        self._output.say(escape(f"{time.strftime('%H:%M:%S')} {self._label}: {_in_words(status)}"))


class _Bar:
    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._course = LossCourse()
        self._task = progress.add_task(label, total=None, status=job_pb2.JobStatus(), course="")

    def show(self, resource: Any) -> None:
        status = resource.status
        running = status.state == job_pb2.JOB_STATE_RUNNING
        total = status.progress.total if running else 0
        self._course.see(status.progress)
        self._progress.update(
            self._task,
            total=total or None,
            completed=status.progress.step,
            status=status,
            course=str(self._course),
        )
        if status.state == job_pb2.JOB_STATE_SUCCEEDED:
            self._progress.update(self._task, total=1, completed=1)


def _progress(output: Output) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        _StatusColumn(),
        TimeElapsedColumn(),
        console=output.console,
        transient=True,
    )


class _StatusColumn(TextColumn):
    """The course of the loss, phase, step, attempt and what the job says of itself."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        told = (task.fields["course"], _in_words(task.fields["status"]))
        return Text(" ".join(part for part in told if part), overflow="ellipsis", no_wrap=True)


def _in_words(status: job_pb2.JobStatus) -> str:
    """`training 40/300 · loss 0.51 · 12 s left · attempt 2`"""
    progress = status.progress
    parts = []
    if status.state == job_pb2.JOB_STATE_RUNNING:
        steps = f" {progress.step:,}/{progress.total:,}" if progress.total else ""
        parts.append(f"{progress.phase or 'starting'}{steps}")
        parts.append(progress.message)
        if progress.HasField("eta") and "ETA" not in progress.message:  # the trainer tells its own, knowing more
            parts.append(f"{progress.eta.seconds} s left")
    elif status.state != job_pb2.JOB_STATE_UNSPECIFIED:
        parts.append(state_name(status).lower())
        if status.state == job_pb2.JOB_STATE_QUEUED and status.error.message:
            parts.append(f"tries again after: {status.error.message}")
    if status.cancel_requested and status.state == job_pb2.JOB_STATE_RUNNING:
        parts.append("cancelling")
    if status.pause_requested and status.state == job_pb2.JOB_STATE_RUNNING:
        parts.append("pausing")
    if status.attempt > 1:
        parts.append(f"attempt {status.attempt} of {status.max_attempts}")
    return " · ".join(part for part in parts if part)
