"""Verdicts on simulated evaluations whose truth is known; `bench/verdicts.py` does the same in large numbers."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fragua_evaluator.domain.gate_catalog import packaged_policies
from fragua_evaluator.domain.verdict import Outcome

SIMULATIONS = 200


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "bench")
    yield importlib.import_module("verdicts")
    sys.modules.pop("verdicts", None)


def simulated(verdicts: Any, kind: str, items: int, effect: float) -> Any:
    (chosen,) = [known for known in verdicts.KINDS if known.name == kind]
    return verdicts.simulate(chosen, items, effect, SIMULATIONS, packaged_policies()["adopt"], seed=4)


@pytest.mark.parametrize(("kind", "items"), [("binary", 22), ("graded-alike", 22), ("graded", 200)])
def test_equal_arms_get_go_in_at_most_one_of_twenty_evaluations(verdicts: Any, kind: str, items: int) -> None:
    found = simulated(verdicts, kind, items, 0.0)
    assert found.outcomes[Outcome.GO] <= 0.05 * SIMULATIONS
    assert found.outcomes.total() == SIMULATIONS


@pytest.mark.parametrize(
    ("kind", "items", "effect"),
    [("binary", 200, 0.05), ("binary-alike", 200, 0.15), ("graded", 22, 0.15), ("graded-alike", 22, 0.05)],
)
def test_the_power_that_is_stated_is_the_power_that_is_found(
    verdicts: Any, kind: str, items: int, effect: float
) -> None:
    found = simulated(verdicts, kind, items, effect)
    assert found.stated_power == pytest.approx(found.significant / SIMULATIONS, abs=0.09)
    assert found.problems() == []


def test_a_broken_promise_is_told_and_ends_with_1(
    verdicts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verdicts, "TOLERANCE", -1.0)
    monkeypatch.setattr(verdicts, "KINDS", verdicts.KINDS[:1])
    with pytest.raises(SystemExit) as end:
        verdicts.main(["--simulations", "5", "--items", "22", "--json", str(tmp_path / "verdicts.json")])
    assert end.value.code == 1
    assert "WRONG: binary, 22 items, true effect 0.05: a power of" in capsys.readouterr().out
    results = json.loads((tmp_path / "verdicts.json").read_text("utf-8"))
    assert [result["true_effect"] for result in results] == [0.0, 0.05, 0.15]
    assert all(result["simulations"] == 5 for result in results)
