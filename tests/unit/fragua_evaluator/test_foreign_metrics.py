"""Metrics of the operator's own, and patterns, in children that may do anything."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fragua_evaluator.domain.arm import Limits, Message, Role
from fragua_evaluator.domain.report import MetricScore
from fragua_evaluator.domain.suite import MetricChoice, SuiteSpec
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.metrics import SuiteMetrics, open_metrics
from fragua_evaluator.scoring.metrics.process import guard
from fragua_platform.errors import InvalidInput

QUICK = Limits(metric_seconds=1.0)

HOSTILE = """
import ctypes, os, sys, time

calls = 0

def length(item, output):
    return {"score": min(len(output) / 10, 1), "components": {"expected": float(output == item["expected"])}}

def whole_item(item, output):
    return float(item["messages"] == [{"role": "user", "content": "¿Capital?"}] and item["metadata"] == {"año": 2026})

def mean(item, output):
    return {
        "nan": float("nan"), "infinite": float("inf"), "more": 1.5, "less": -0.1, "text": "0.5", "nothing": None, "list": [0.5],
        "odd map": {"points": 1}, "odd part": {"score": 1, "components": {"a": 2}}, "odd parts": {"score": 1, "components": [1]},
        "too many": {"score": 1, "components": {str(n): 1 for n in range(65)}}, "yes": True,
    }[output]

def clumsy(item, output):
    if output == "raise":
        raise ValueError("demasiado corto: " + "x" * 10_000)
    if output == "hang":
        while True:
            pass
    if output == "sleep":
        time.sleep(3600)
    if output == "exit":
        sys.exit(0)
    if output == "_exit":
        os._exit(0)
    if output == "crash":
        ctypes.string_at(0)
    if output == "memory":
        return len(bytearray(2**31))
    if output == "recursion":
        return clumsy(item, output)
    if output == "print":
        print("{\\"id\\": 1, \\"score\\": 1.0}", flush=True)
        os.write(2, b"x" * 1_000_000)
        return 0.25
    if output == "babble":
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b"{\\"id\\": 1, \\"score\\": 7}\\n" * 10_000)
            except OSError:
                pass
        return 1.0
    if output == "interrupt":
        raise KeyboardInterrupt
    if output == "bomb":
        for _ in range(300):
            if os.fork() == 0:
                time.sleep(3600)
        time.sleep(3600)
    if output == "daemon":
        if os.fork() == 0:
            os.setsid()
            time.sleep(3600)
        return 0.5
    return 0.75

def count(item, output):
    global calls
    calls += 1
    return calls / 100

def secrets(item, output):
    return float(any("KEY" in name or "FRAGUA" in name for name in os.environ))

def empty_folder(item, output):
    return float(os.listdir(".") == ["task.json"])

not_a_function = 3
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a module `hostile` that the operator allows, and no temporary files of others."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "hostile.py").write_text(HOSTILE, "utf-8")
    (tmp_path / "modules" / "broken.py").write_text("raise OSError('no hay modelo')", "utf-8")
    (tmp_path / "modules" / "slow.py").write_text("import os; os._exit(3)", "utf-8")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.setenv("FRAGUA_ENGINE_ALLOWED_METRICS", "hostile., broken, slow, missing")
    monkeypatch.setenv("FRAGUA_ENDPOINT_KEY_A", "secret")
    return tmp_path


@contextmanager
def opened(*choices: MetricChoice, limits: Limits = Limits()) -> Iterator[SuiteMetrics]:  # noqa: B008
    with open_metrics(SuiteSpec(name="own", rows="rows.jsonl", metrics=choices), limits) as metrics:
        yield metrics


def own(function: str) -> MetricChoice:
    return MetricChoice(name=f"hostile:{function}")


def chosen(name: str, **options: Any) -> MetricChoice:
    return MetricChoice(name=name, options=options)


def item(expected: str = "Madrid") -> Item:
    question = Message(role=Role.USER, content="¿Capital?")
    return Item("own", "1", "case 1", "", (question,), expected, metadata={"año": 2026})


def score(metrics: SuiteMetrics, output: str) -> MetricScore:
    [found] = metrics.score(item(), output).values()
    return found


def values(metrics: SuiteMetrics, output: str) -> list[float]:
    return [found.value for found in metrics.score(item(), output).values() if not found.failure]


def processes_below(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


# R130
@pytest.mark.usefixtures("path")
def test_a_function_of_the_operators_own_scores_with_components() -> None:
    with opened(own("length"), own("whole_item")) as metrics:
        assert metrics.graded == {"hostile:length": True, "hostile:whole_item": True}
        found = metrics.score(item(), "Madrid")
    assert found["hostile:length"] == MetricScore(value=0.6, components={"expected": 1.0})
    assert found["hostile:whole_item"].value == 1


@pytest.mark.usefixtures("path")
def test_a_child_lives_on_between_answers_and_knows_none_of_our_secrets() -> None:
    with opened(own("count"), own("secrets"), own("empty_folder")) as metrics:
        rounds = [metrics.score(item(), "x") for _ in range(3)]
    assert [found["hostile:count"].value for found in rounds] == [0.01, 0.02, 0.03]
    assert {found["hostile:secrets"].value for found in rounds} == {0.0}
    assert {found["hostile:empty_folder"].value for found in rounds} == {1.0}


@pytest.mark.usefixtures("path")
def test_what_is_no_score_is_a_failure_and_no_score() -> None:
    with opened(own("mean")) as metrics:
        assert score(metrics, "yes") == MetricScore(value=1.0)
        for output in (
            "nan", "infinite", "more", "less", "text", "nothing", "list", "odd map", "odd part", "odd parts", "too many"
        ):  # fmt: skip
            found = score(metrics, output)
            assert (found.value, found.failure.partition(":")[0]) == (0.0, "METRIC_INVALID_SCORE"), output
        assert score(metrics, "something else").failure == "METRIC_RAISED: KeyError: 'something else'"


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("output", "failure"),
    [
        ("raise", "METRIC_RAISED: ValueError: demasiado corto"),
        ("recursion", "METRIC_RAISED: RecursionError"),
        ("hang", "METRIC_TIMEOUT: no score within 1 s"),
        ("sleep", "METRIC_TIMEOUT: no score within 1 s"),
        ("exit", "METRIC_DIED"),
        ("_exit", "METRIC_DIED"),
        ("crash", "METRIC_DIED"),
        ("interrupt", "METRIC_DIED"),
        ("babble", "METRIC_DIED"),
        ("memory", "METRIC_OUT_OF_MEMORY"),
        ("bomb", "METRIC_"),
    ],
)
def test_whatever_a_metric_does_is_a_failure_of_one_answer(path: Path, output: str, failure: str) -> None:
    with opened(own("clumsy"), limits=QUICK if "TIMEOUT" in failure else Limits()) as metrics:
        found = score(metrics, output)
        assert found.failure.startswith(failure)
        assert len(found.failure) < 500
        assert score(metrics, "fine") == MetricScore(value=0.75)
    assert processes_below(path) == []


@pytest.mark.usefixtures("path")
def test_what_a_metric_prints_is_no_score() -> None:
    with opened(own("clumsy")) as metrics:
        assert score(metrics, "print") == MetricScore(value=0.25)


def test_what_a_metric_leaves_running_ends_with_the_evaluation(path: Path) -> None:
    if "--pid" not in guard():
        pytest.skip("this system lets us make no process namespaces")
    with opened(own("clumsy")) as metrics:
        assert score(metrics, "daemon").value == 0.5
    deadline = time.monotonic() + 5
    while processes_below(path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_below(path) == []
    assert list((path / "temporary").iterdir()) == []


@pytest.mark.usefixtures("path")
def test_an_answer_of_a_megabyte_reaches_the_metric() -> None:
    with opened(own("length")) as metrics:
        assert score(metrics, "ñ" * 1_000_000 + "\ud800").value == 1


@pytest.mark.usefixtures("path")
def test_all_metrics_that_cannot_be_loaded_are_told_before_the_first_answer() -> None:
    broken = [MetricChoice(name=name) for name in ("broken:score", "slow:score", "missing:score")]
    with pytest.raises(InvalidInput) as refused, opened(*broken, own("absent"), own("not_a_function"), own("length")):
        pytest.fail("it opened")
    told = {violation.field: violation.description for violation in refused.value.violations}
    assert list(told) == [f"suites.own.metrics.{place}" for place in range(5)]
    assert "OSError: no hay modelo" in told["suites.own.metrics.0"]
    assert "did not start" in told["suites.own.metrics.1"]
    assert "ModuleNotFoundError" in told["suites.own.metrics.2"]
    assert "AttributeError" in told["suites.own.metrics.3"]
    assert "no function" in told["suites.own.metrics.4"]


def test_a_function_that_the_operator_does_not_allow_never_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path / "modules" / "evil.py").write_text(f"open({str(path / 'seen')!r}, 'w')", "utf-8")
    with pytest.raises(InvalidInput, match="not allowed"), opened(MetricChoice(name="evil:score")):
        pytest.fail("it opened")
    monkeypatch.delenv("FRAGUA_ENGINE_ALLOWED_METRICS")
    with pytest.raises(InvalidInput, match="not allowed"), opened(own("length")):
        pytest.fail("it opened")
    assert not (path / "seen").exists()


def test_a_pattern_is_looked_for_in_the_answer() -> None:
    choices = [
        chosen("regex", pattern="^Madrid"),
        chosen("regex", pattern="madrid"),
        chosen("regex", pattern="madrid", ignore_case=True),
        chosen("regex", pattern=r"\w+", match="full"),
    ]
    with opened(*choices) as metrics:
        assert metrics.names == ("regex", "regex-2", "regex-3", "regex-4")
        assert values(metrics, "La capital:\nMadrid") == [1, 0, 1, 0]
        assert values(metrics, "Madrid") == [1, 0, 1, 1]
        assert values(metrics, "") == [0, 0, 0, 0]


def test_a_pattern_that_takes_for_ever_fails_one_answer() -> None:
    with opened(chosen("regex", pattern="(a+)+$"), limits=QUICK) as metrics:
        assert score(metrics, "a" * 60 + "!").failure.startswith("METRIC_TIMEOUT")
        assert score(metrics, "aaa").value == 1


def test_a_checklist_tells_each_point() -> None:
    choice = chosen(
        "checklist", wanted={"analogía": "es como", "código": "```python"}, unwanted={"papel": "como una IA"}
    )
    with opened(choice) as metrics:
        assert score(metrics, "Es como una fila.") == MetricScore(
            value=2 / 3, components={"analogía": 1.0, "código": 0.0, "papel": 1.0}
        )
        assert score(metrics, "") == MetricScore(value=0, components={"analogía": 0.0, "código": 0.0, "papel": 0.0})


SCHEMA = {
    "type": "object",
    "required": ["nombre", "edad"],
    "properties": {"nombre": {"type": "string", "minLength": 2}, "edad": {"$ref": "#/$defs/edad"}},
    "$defs": {"edad": {"type": "integer", "minimum": 0}},
}


def test_a_document_is_held_against_a_schema() -> None:
    with opened(chosen("json_schema", schema=SCHEMA), chosen("yaml_schema", schema=SCHEMA)) as metrics:
        assert values(metrics, '{"nombre": "Íñigo", "edad": 40}') == [1, 1]
        assert values(metrics, '```json\n{"nombre": "Íñigo", "edad": -1}\n```') == [0, 0]
        assert values(metrics, "nombre: Íñigo\nedad: 40\n7: x") == [0, 1]
        found = metrics.score(item(), "nombre: Íñigo\nedad: cuarenta")
        assert found["json_schema"].components == {"readable": 0.0, "fits": 0.0}
        assert found["yaml_schema"].components == {"readable": 1.0, "fits": 0.0}


def test_schemas_that_cannot_be_used_are_told_before_the_first_answer() -> None:
    schemas = [
        {"type": "objekt"},
        {"$ref": "https://example.com/schema.json"},
        {"items": {"$ref": "file:///etc/passwd"}},
    ]
    with pytest.raises(InvalidInput) as refused, opened(*(chosen("json_schema", schema=schema) for schema in schemas)):
        pytest.fail("it opened")
    told = [violation.description for violation in refused.value.violations]
    assert "'objekt'" in told[0]
    assert "'https://example.com/schema.json', which is outside of it" in told[1]
    assert "'file:///etc/passwd', which is outside of it" in told[2]


def test_a_schema_that_takes_for_ever_or_runs_in_circles_fails_one_answer() -> None:
    slow = {"items": {"pattern": "^(a+)+$"}}
    circle = {"$ref": "#"}
    with opened(chosen("json_schema", schema=slow), chosen("json_schema", schema=circle), limits=QUICK) as metrics:
        assert metrics.names == ("json_schema", "json_schema-2")
        found = metrics.score(item(), f'["{"a" * 60}!"]')
    assert found["json_schema"].failure.startswith("METRIC_TIMEOUT")
    assert found["json_schema-2"].failure.startswith("METRIC_RAISED: RecursionError")


def test_a_child_ends_when_the_engine_is_killed(path: Path) -> None:
    reading, writing = os.pipe()
    engine = os.fork()
    if engine == 0:
        with opened(own("clumsy"), limits=Limits(metric_seconds=600)) as metrics:
            os.write(writing, b"ready")
            score(metrics, "hang")
        os._exit(0)
    assert os.read(reading, 5) == b"ready"
    deadline = time.monotonic() + 10
    time.sleep(0.2)
    assert processes_below(path / "temporary")
    os.kill(engine, 9)
    os.waitpid(engine, 0)
    while processes_below(path / "temporary") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_below(path / "temporary") == []
    os.close(reading)
    os.close(writing)
