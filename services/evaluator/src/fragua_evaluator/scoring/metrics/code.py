"""Runs the Python code in an answer against the tests of its item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fragua_evaluator.domain.arm import Limits
from fragua_evaluator.domain.report import MetricScore
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.metrics.documents import code_blocks
from fragua_evaluator.scoring.metrics.sandbox import SandboxFailed, open_sandbox

MAX_TESTS: Final = 100
MAX_TEST_CHARS: Final = 64 * 1024
_PYTHON = ("python", "py", "python3")


class CodeTests:
    def __init__(self, options: Mapping[str, Any], limits: Limits) -> None:
        """Raises InvalidInput where no sandbox can be had."""
        self._blocks: str = options["blocks"]
        self._sandbox = open_sandbox(limits)

    def score(self, item: Item, output: str) -> MetricScore:
        tests, problem = tests_of(item)
        if problem:
            return MetricScore(value=0.0, failure=f"NO_TESTS: {problem}")
        program = program_in(output, self._blocks)
        if not program.strip():
            return MetricScore(value=0.0, components={"passed": 0.0})
        try:
            results = self._sandbox.run(program, tests)
        except SandboxFailed as broken:
            return MetricScore(value=0.0, failure=f"SANDBOX_FAILED: {broken}")
        passed = sum(result == "" for result in results) / len(results)
        return MetricScore(value=float(passed == 1), components={"passed": passed})


def program_in(answer: str, blocks: str = "all") -> str:
    """The code blocks that say they are Python, else those that say nothing, and without any block the whole answer."""
    found = code_blocks(answer)
    if not found:
        return answer
    chosen = [block.text for block in found if block.language in _PYTHON]
    chosen = chosen or [block.text for block in found if not block.language]
    if blocks != "all":
        chosen = chosen[:1] if blocks == "first" else chosen[-1:]
    return "\n".join(chosen)


def tests_of(item: Item) -> tuple[tuple[str, ...], str]:
    """The tests in the item's metadata, and what is wrong with them, if anything is."""
    found = item.metadata.get("tests")
    tests = (found,) if isinstance(found, str) else tuple(found) if isinstance(found, list | tuple) else ()
    if not tests or not all(isinstance(test, str) and test.strip() for test in tests):
        return (), "its metadata hold no `tests`: a text of Python with assertions, or a list of such texts"
    if len(tests) > MAX_TESTS or sum(map(len, tests)) > MAX_TEST_CHARS:
        return (), f"its `tests` are more than {MAX_TESTS}, or have more than {MAX_TEST_CHARS} characters"
    return tests, ""
