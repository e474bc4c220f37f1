"""Scores answers in a child process of the metric's own, which is started anew when an answer was too much for it."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fragua_evaluator.domain.arm import Limits
from fragua_evaluator.domain.report import MetricScore
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.metrics.process import (
    MAX_PROCESSES,
    Child,
    Died,
    TimedOut,
    TooManyProcesses,
    TooMuch,
    clean_environment,
    guard,
    process_limit,
)
from fragua_platform.errors import InvalidInput, Violation

_START_SECONDS: Final = 60.0
"""At least, for the imports of a metric."""
_MAX_REPLY_BYTES: Final = 64 * 1024
_PROGRAM: Final = Path(__file__).parent / "child.py"
"""Started as a file: a function of the operator's own needs nothing of ours, and imports take time and memory."""


class MetricApart:
    """Not for several threads; the child ends with the thread that started it."""

    def __init__(self, name: str, options: Mapping[str, Any], limits: Limits, at: str) -> None:
        self._name = name
        self._options = options
        self._limits = limits
        self._at = at
        self._home = tempfile.TemporaryDirectory(prefix="fragua-metric-", ignore_cleanup_errors=True)
        self._child: Child | None = None
        self._asked = 0

    def start(self) -> None:
        """Returns before it is ready, so that several may start at the same time."""
        home = Path(self._home.name)
        task = {
            "name": self._name,
            "options": self._options,
            "memory_mib": self._limits.metric_memory_mib,
            "processes": process_limit(own_user_namespace="--user" in guard()),
        }
        (home / "task.json").write_text(json.dumps(task), "utf-8")
        # Without -P the folder of the program would be on the path, and its modules in the way of others.
        command = (*guard(), sys.executable, "-P", str(_PROGRAM), "task.json")
        self._child = Child(command, clean_environment(home), home)

    def wait_until_ready(self) -> None:
        """Raises InvalidInput when the metric cannot be loaded."""
        assert self._child is not None
        seconds = max(_START_SECONDS, self._limits.metric_seconds)
        try:
            reply = json.loads(self._child.ask(b"", seconds, _MAX_REPLY_BYTES))
            problem = "" if reply.get("ready") is True else str(reply.get("error", "it does not say why"))
        except Exception as broken:  # it is foreign code that writes there
            problem = f"its process did not start ({type(broken).__name__})"
        if problem:
            self._end()
            raise self._cannot_be_loaded(problem)

    def score(self, item: Item, output: str) -> MetricScore:
        if self._child is None:
            try:
                self.start()
                self.wait_until_ready()
            except InvalidInput as broken:
                return _failed(f"METRIC_DIED: it could not be started again: {broken.message}")
        assert self._child is not None
        self._asked += 1
        request = {"id": self._asked, "item": as_mapping(item), "output": output}
        try:
            line = self._child.ask(_line(request), self._limits.metric_seconds, _MAX_REPLY_BYTES)
        except TimedOut:
            failure = f"METRIC_TIMEOUT: no score within {self._limits.metric_seconds:g} s"
        except TooManyProcesses:
            failure = f"METRIC_TOO_MANY_PROCESSES: it started more than {MAX_PROCESSES}"
        except (Died, TooMuch):
            failure = "METRIC_DIED: its process ended, or wrote what it should not"
        else:
            score = _score_in(line, self._asked)
            if not score.failure.startswith(("METRIC_DIED", "METRIC_OUT_OF_MEMORY")):
                return score
            failure = score.failure
        self._end()
        return _failed(failure)

    def close(self) -> None:
        self._end()
        self._home.cleanup()

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _cannot_be_loaded(self, problem: str) -> InvalidInput:
        if ":" in self._name:
            way_out = "is its module on the worker's path, and are metric_seconds and metric_memory_mib enough?"
            message = f"the metric {self._name!r} cannot be loaded: {problem}; {way_out}"
        else:
            message = f"the metric {self._name} cannot work with its options: {problem}"
        return InvalidInput(message, violations=[Violation(self._at, message)], reason="METRIC_NOT_LOADED")


def as_mapping(item: Item) -> dict[str, Any]:
    """An item as a function of the operator's own gets it."""
    return {
        "suite": item.suite,
        "id": item.id,
        "tag": item.tag,
        "messages": [{"role": message.role.value, "content": message.content} for message in item.messages],
        "expected": item.expected,
        "choices": list(item.choices) if item.choices is not None else None,
        "right_choice": item.right_choice,
        "metadata": dict(item.metadata),
    }


def _score_in(line: bytes, asked: int) -> MetricScore:
    """The child checks what the metric returns; but the metric shares the process, so nothing here is taken on trust."""
    try:
        reply = json.loads(line)
        if reply["id"] != asked:
            raise ValueError("an answer to something else")
        if "failure" in reply:
            return _failed(str(reply["failure"]))
        parts = [reply["score"], *reply["components"].values()]
        if not all(isinstance(part, float) and math.isfinite(part) and 0 <= part <= 1 for part in parts):
            raise ValueError("no numbers from 0 to 1")
        return MetricScore(value=reply["score"], components=reply["components"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _failed("METRIC_DIED: its process wrote what it should not")


def _failed(failure: str) -> MetricScore:
    return MetricScore(value=0.0, failure=failure[:1_000])


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, default=str).encode() + b"\n"
