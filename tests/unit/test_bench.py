"""The harness of the benchmarks: what it runs in which order, and what it says about what it measured.

Nothing here depends on time: contenders give fixed figures, and how long the real ones take is for `make bench`.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of `bench/`, which is a folder of programs and no package."""
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setattr(importlib.import_module("children"), "CACHE", tmp_path)
    yield importlib.import_module
    for name in ("harness", "children", "dataset", "near_dedup", "evaluation", "export", "training"):
        sys.modules.pop(name, None)


@pytest.fixture
def harness(bench: Callable[[str], ModuleType]) -> Any:
    return bench("harness")


def stage_of(harness: Any, name: str, ours: list[float], theirs: list[float], *, more_is_better: bool = True) -> Any:
    """A stage whose contenders give these figures, one per round."""
    duel = harness.Duel(lambda: {"points": ours.pop(0)}, lambda: {"points": theirs.pop(0)})
    metrics = (harness.Metric("points", more_is_better),)
    return harness.Stage(name, "somebody", "what it means", metrics, lambda _folder, _quick: duel)


def test_contenders_take_turns_and_ours_begins(harness: Any) -> None:
    turns: list[str] = []

    def contender(name: str) -> dict[str, float]:
        turns.append(name)
        return {"points": 1.0}

    harness.interleave(harness.Duel(lambda: contender("ours"), lambda: contender("theirs")), rounds=3)
    assert turns == ["ours", "theirs"] * 3


def test_a_result_is_the_median_of_each_side(harness: Any) -> None:
    (result,) = harness.measure(stage_of(harness, "race", [1.0, 90.0, 8.0], [4.0, 0.1, 5.0]), quick=True)
    assert (result.ours, result.theirs, result.ratio) == (8.0, 4.0, 2.0)


@pytest.mark.parametrize(("more_is_better", "ratio"), [(True, 0.25), (False, 4.0)])
def test_a_ratio_above_one_means_ours_is_better(harness: Any, more_is_better: bool, ratio: float) -> None:
    stage = stage_of(harness, "race", [2.0] * 3, [8.0] * 3, more_is_better=more_is_better)
    (result,) = harness.measure(stage, quick=True)
    assert result.ratio == ratio


def test_the_file_lists_every_result_and_the_table_hides_no_defeat(
    harness: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [stage_of(harness, "won", [3.0] * 3, [1.0] * 3), stage_of(harness, "lost", [1.0] * 3, [4.0] * 3)]
    with pytest.raises(SystemExit) as end:
        harness.main(stages, ["--quick", "--json", str(tmp_path / "results.json")])
    assert end.value.code == 0
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == [
        {"stage": "won", "peer": "somebody", "ours": 3.0, "theirs": 1.0, "unit": "points", "ratio": 3.0},
        {"stage": "lost", "peer": "somebody", "ours": 1.0, "theirs": 4.0, "unit": "points", "ratio": 0.25},
    ]
    printed = capsys.readouterr().out
    assert "3.00x better" in printed
    assert "0.25x WORSE" in printed


def test_only_the_stages_that_were_named_run(harness: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [stage_of(harness, name, [1.0] * 3, [1.0] * 3) for name in ("one", "two", "three")]
    with pytest.raises(SystemExit):
        harness.main(stages, ["--quick", "--stage", "one", "--stage", "three"])
    printed = capsys.readouterr().out
    assert "one against" in printed
    assert "three against" in printed
    assert "two against" not in printed


def test_a_stage_that_fails_is_told_and_the_others_still_run(
    harness: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def unequal_work() -> None:
        raise harness.BenchmarkFailed("the two did different work")

    duel = harness.Duel(lambda: {"points": 1.0}, lambda: {"points": 1.0}, unequal_work)
    unequal = harness.Stage("unequal", "somebody", "", (), lambda _folder, _quick: duel)
    with pytest.raises(SystemExit) as end:
        harness.main(
            [unequal, stage_of(harness, "fine", [1.0] * 3, [1.0] * 3)],
            ["--quick", "--json", str(tmp_path / "results.json")],
        )
    assert end.value.code == 1
    assert "FAILED: the two did different work" in capsys.readouterr().out
    assert [result["stage"] for result in json.loads((tmp_path / "results.json").read_text("utf-8"))] == ["fine"]


def test_a_child_is_measured_as_a_whole_on_one_thread(bench: Callable[[str], ModuleType]) -> None:
    program = "import os; fill = bytearray(64 * 2**20); print('noise'); print(os.environ['OMP_NUM_THREADS'])"
    run = bench("children").run_child(sys.executable, "-c", program)
    assert run.number == 1
    assert run.peak_mib > 64
    assert run.cpu_seconds > 0


def test_a_child_that_fails_says_what_it_said(bench: Callable[[str], ModuleType]) -> None:
    children = bench("children")
    with pytest.raises(children.BenchmarkFailed, match="no such tokenizer"):
        children.run_child(sys.executable, "-c", "import sys; sys.exit('no such tokenizer')")


def test_the_rows_are_of_one_kilobyte_and_one_in_fifty_is_a_repeat(
    bench: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    bench("dataset").write_rows(tmp_path / "rows.jsonl", 2000)
    lines = (tmp_path / "rows.jsonl").read_bytes().splitlines()
    assert len(lines) == 2000
    assert all(950 <= len(line) <= 1000 for line in lines)
    assert 20 <= len(lines) - len(set(lines)) <= 70
    assert {tuple(json.loads(line)) for line in lines} == {("instruction", "input", "output")}


def test_every_benchmark_has_stages_of_its_own_name(bench: Callable[[str], ModuleType]) -> None:
    stages = [stage.name for name in ("dataset", "export") for stage in bench(name).STAGES]
    of_datasets = ["validate-exact-dedup", "near-dedup", "peak-rss", "grpc-import"]
    of_exports = ["gguf-f16", "gguf-q8_0", "gguf-copy-bf16", "gguf-copy-f16", "merge-time", "merge-rss"]
    assert stages == [*of_datasets, *of_exports]
    of_evaluations = {(stage.name, stage.peer) for stage in bench("evaluation").STAGES}
    assert of_evaluations == {("multiple-choice", "lm-evaluation-harness"), ("generation", "hf-static-batch-8")}


def test_planted_copies_are_as_like_as_they_are_said_to_be(bench: Callable[[str], ModuleType], tmp_path: Path) -> None:
    near_dedup = bench("near_dedup")
    texts = tmp_path / "texts.txt"
    planted = near_dedup.write_rows(texts, 1500)
    assert {pair.jaccard >= near_dedup.THRESHOLD for pair in planted} == {True, False}
    near = [(pair.first, pair.second) for pair in planted if pair.jaccard >= near_dedup.THRESHOLD]
    unlike = [(pair.first, pair.second) for pair in planted if pair.jaccard < near_dedup.THRESHOLD]
    assert near_dedup.recall_of(near, planted) == 1
    assert near_dedup.recall_of(near[1:], planted) == 1 - 1 / len(near)
    assert near_dedup.wrong_ones(near, texts) == []
    assert near_dedup.wrong_ones([*near, *unlike], texts) == unlike


def test_training_is_measured_against_every_named_peer_and_the_limit(bench: Callable[[str], ModuleType]) -> None:
    stages = {(stage.name, stage.peer) for stage in bench("training").STAGES}
    peers = {"trl-default", "trl-bs1", "hf-trainer-bs4", "hf-trainer-bs1", "gemm-limit"}
    trainings = {(f"train-{kind}", peer) for kind in ("32k-bf16", "32k-fp32", "152k-bf16") for peer in peers}
    assert stages == trainings | {("checkpoint-blocking", "hf-trainer")}


def test_evaluations_that_answer_or_score_otherwise_are_no_comparison(bench: Callable[[str], ModuleType]) -> None:
    evaluation, failed = bench("evaluation"), bench("children").BenchmarkFailed
    evaluation._check_scores({"0": [-3.0, -5.0]}, {"0": [-3.00005, -5.0]})
    with pytest.raises(failed, match="apart"):
        evaluation._check_scores({"0": [-3.0, -5.0]}, {"0": [-3.0, -5.001]})
    evaluation._check_answers({"0": ["yes"]}, {"0": ["yes"]})
    with pytest.raises(failed, match="1 of 2 answers differ, such as 1"):
        evaluation._check_answers({"0": ["yes"], "1": ["no"]}, {"0": ["yes"], "1": ["yes"]})


def test_needed_operations_leave_out_what_the_gradient_of_lora_does_not_need(
    bench: Callable[[str], ModuleType],
) -> None:
    training = bench("training")

    def needed(length: int, prompt: int) -> float:
        operations: float = training.needed_operations([{"tokens": [7] * length, "prompt": prompt}], 1000)
        return operations

    # Four operations per weight: a product forward and one back, but none for the gradients of frozen weights.
    before_attention, after_attention = 512 * (512 + 256 + 256), 512 * 512 + 3 * 512 * 2048
    # A token that nothing predicts needs no head, and nothing behind the attention of the last layer.
    assert needed(300, 100) - needed(300, 101) == 4 * (1000 * 512 + after_attention)
    layers = needed(300, 300)
    attention = 8 * 3 * 4 * 512 * 300**2 / 2
    # The input of the first layer has no gradient.
    assert layers == 300 * ((4 * 8 - 2) * before_attention + 4 * 7 * after_attention) + attention
