"""Code in answers, run in a sandbox."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fragua_evaluator.domain.arm import Limits, Message, Role
from fragua_evaluator.domain.suite import MetricChoice, SuiteSpec
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.metrics import open_metrics
from fragua_evaluator.scoring.metrics.code import CodeTests, program_in
from fragua_evaluator.scoring.metrics.sandbox import Isolation, Sandbox, open_sandbox
from fragua_platform.errors import InvalidInput

LIMITS = Limits(metric_seconds=30.0)


def can_make_namespaces() -> bool:
    try:
        open_sandbox(LIMITS)
    except InvalidInput:
        return False
    return True


isolated = pytest.mark.skipif(
    os.environ.get("CI") != "true" and not can_make_namespaces(), reason="this system lets us make no namespaces"
)


@pytest.fixture(
    params=[pytest.param(Isolation.NAMESPACES, marks=isolated), Isolation.LIMITS], ids=lambda isolation: isolation.value
)
def sandbox(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("FRAGUA_ENDPOINT_KEY_A", "secret")
    return Sandbox(request.param, LIMITS)


def item(tests: Any) -> Item:
    return Item("code", "1", "case 1", "", (Message(role=Role.USER, content="?"),), "", metadata={"tests": tests})


ANSWER = """Claro. La función suma los números de una lista:

```python
def suma(números):
    total = 0
    for número in números:  # uno tras otro
        total += número
    return total
```

Es como contar las monedas de una hucha. Así se usa:

```python
print(suma([1, 2]))
if __name__ == "__main__":
    input("¿Otra?")
```
"""


def test_an_answer_passes_when_all_tests_pass(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_ENGINE_CODE_SANDBOX", sandbox.isolation)
    metric = CodeTests({"blocks": "all"}, LIMITS)
    good, bad = "assert suma([1, 2, 3]) == 6", "assert suma([]) == 1"
    assert metric.score(item(good), ANSWER).value == 1
    half = metric.score(item([good, bad]), ANSWER)
    assert (half.value, half.components, half.failure) == (0.0, {"passed": 0.5}, "")
    for output in ("", "No sé.", "```python\ndef suma(:\n```", "```sh\nls\n```"):
        assert metric.score(item("pass"), output).value == 0, output


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("raise SystemExit(0)", "SystemExit"),
        ("import os; os._exit(0)", "ended the process"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended the process"),
        ("import os\nif os.fork(): raise ValueError('mal')", "ValueError: mal"),
        (
            "import os\nfor d in range(3, 64):\n    try: os.write(d, b'\\n')\n    except OSError: pass\nos._exit(0)",
            "ended the process",
        ),
        ("while True: pass", "took more than"),
        ("import time; time.sleep(60)", "took more than"),
        ("bytearray(2**31)", "MemoryError"),
        ("input()", "EOFError"),
        ("open('big', 'wb').write(bytes(65 * 2**20))", "File too large"),
        ("files = [open('f%d' % n, 'w') for n in range(200)]", "Too many open files"),
        ("x = " + "(" * 5000, "Error"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "failed"),
    ],
)
def test_ending_early_or_taking_too_much_is_no_way_to_pass(sandbox: Sandbox, test: str, words: str) -> None:
    quick = Sandbox(sandbox.isolation, Limits(metric_seconds=2.0 if "took" in words else 30.0))
    results = quick.run("", [test, "assert True"])
    assert words in results[0]
    assert results[1] == ""


def test_printing_without_end_costs_nothing_but_time(sandbox: Sandbox) -> None:
    assert sandbox.run("print('ñ' * 10_000_000)\nimport os\nos.write(2, b'x' * 10_000_000)", ["pass"]) == [""]


def test_what_one_test_does_another_one_does_not_see(sandbox: Sandbox) -> None:
    assert sandbox.run("seen = []", ["seen.append(1); import json; json.loads = None", "assert not seen"]) == ["", ""]
    assert sandbox.run("", ["import json; json.loads = None", "import json; assert json.loads('1') == 1"]) == ["", ""]


def test_code_sees_neither_our_environment_nor_our_folder(sandbox: Sandbox) -> None:
    assert sandbox.run("import os", ["assert 'secret' not in os.environ.values()", "assert os.listdir('.') == []"]) == [
        "",
        "",
    ]


def test_many_processes_end_with_the_test(sandbox: Sandbox, tmp_path: Path) -> None:
    bomb = "import os, time\nfor _ in range(300):\n    if os.fork() == 0: time.sleep(3600)\ntime.sleep(3600)"
    [result] = sandbox.run("", [bomb])
    assert "temporarily unavailable" in result or "more than 64 processes" in result
    if sandbox.isolation is Isolation.LIMITS:  # else they live in another root, and end with their first process
        assert [folder for folder in Path("/proc").glob("[0-9]*/cwd") if is_below(folder, tmp_path)] == []


def is_below(link: Path, folder: Path) -> bool:
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False


@isolated
@pytest.mark.parametrize(
    "test",
    [
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 22), 1)\nexcept OSError as e: assert e.errno == 101 or e.errno == 99, e",
        "import os\nassert not os.path.exists(HERE)",
        "import os\nassert not os.path.exists('/etc/passwd') and not os.path.exists('/proc/1')",
        "import os, sys\ntry: os.remove(os.__file__)\nexcept OSError: pass\nelse: raise AssertionError",
        "open('nota', 'w').write('mañana'); assert open('nota').read() == 'mañana'",
        "import tempfile; tempfile.NamedTemporaryFile('w').write('x')",
        "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) != 0",
        "import ctypes\nassert ctypes.CDLL(None).mount(b'tmpfs', b'/scratch', b'tmpfs', 0, None) != 0",
        "import os\ntry: os.kill(1, 9)\nexcept PermissionError: pass",
    ],
)
def test_nothing_outside_can_be_reached(test: str, tmp_path: Path) -> None:
    assert Sandbox(Isolation.NAMESPACES, LIMITS).run(f"HERE = {str(tmp_path)!r}", [test]) == [""]


def test_without_isolation_nothing_runs_unless_the_operator_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fragua_evaluator.scoring.metrics.sandbox.works", lambda _command: False)
    suite = SuiteSpec(name="code", rows="rows.jsonl", metrics=(MetricChoice(name="code_tests"),))
    with pytest.raises(InvalidInput, match="lets us make no namespaces") as refused, open_metrics(suite, LIMITS):
        pytest.fail("it opened")
    assert refused.value.reason == "CODE_SANDBOX_UNAVAILABLE"
    assert "FRAGUA_ENGINE_CODE_SANDBOX=limits" in refused.value.message
    monkeypatch.setenv("FRAGUA_ENGINE_CODE_SANDBOX", "limits")
    with open_metrics(suite, LIMITS) as metrics:
        assert metrics.score(item("assert x == 1"), "x = 1")["code_tests"].value == 1


@pytest.mark.parametrize(
    ("setting", "words"), [("off", "switched it off"), ("yes", "expected namespaces, limits, off")]
)
def test_the_operator_may_switch_code_off(setting: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_ENGINE_CODE_SANDBOX", setting)
    with pytest.raises(InvalidInput, match=words):
        open_sandbox(LIMITS)


@isolated
def test_a_sandbox_that_is_none_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fragua_evaluator.scoring.metrics.sandbox._NAMESPACES", ("--mount", "--pid", "--fork"))
    with pytest.raises(InvalidInput, match="it has a network"):
        open_sandbox(LIMITS)


@pytest.mark.parametrize(
    ("answer", "blocks", "program"),
    [
        ("x = 1", "all", "x = 1"),
        ("```python\na\n```\n```py\nb\n```\n```sh\nc\n```", "all", "a\nb"),
        ("```python\na\n```\n```py\nb\n```", "first", "a"),
        ("```python\na\n```\n```py\nb\n```", "last", "b"),
        ("Así:\n```\na\n```", "all", "a"),
        ("```js\na\n```", "all", ""),
        ("```python\na", "all", "a"),
    ],
)
def test_a_program_is_found_in_an_answer(answer: str, blocks: str, program: str) -> None:
    assert program_in(answer, blocks) == program
