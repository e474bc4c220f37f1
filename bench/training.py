"""Measures LoRA steps on one CPU core: our engine against TRL and the Trainer of transformers, and against the rate at
which this processor multiplies matrices."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import checkpoints
import harness
from children import OUR_PROGRAMS, OUR_PYTHON, PEER_PROGRAMS, BenchmarkFailed, ChildRun, peer_python, run_child
from harness import Duel, Metric, Sample, Stage

ROWS, QUICK_ROWS = 24, 16
"""In steps of eight, the first of which is not measured."""
ROUNDS = 3
TOKENS_PER_SECOND = Metric("tokens per CPU-second", more_is_better=True)
GFLOP_PER_SECOND = Metric("GFLOP per CPU-second", more_is_better=True)

# The base of make_fine_tune.py.
HIDDEN, LAYERS, FEED_FORWARD = 512, 8, 2048
BEFORE_ATTENTION = HIDDEN * (HIDDEN + 2 * HIDDEN // 2)
AFTER_ATTENTION = HIDDEN * (HIDDEN + 3 * FEED_FORWARD)

PEERS = {
    "trl-default": ("trl", "8"),
    "trl-bs1": ("trl", "1"),
    "hf-trainer-bs4": ("hf", "4"),
    "hf-trainer-bs1": ("hf", "1"),
}
STAGE_INPUTS = {
    "train-32k-bf16": (32_768, "bf16"),
    "train-32k-fp32": (32_768, "fp32"),
    "train-152k-bf16": (151_936, "bf16"),
}


def against_trainer(vocabulary: int, precision: str, peer: tuple[str, str], folder: Path, quick: bool) -> Duel:
    python = peer_python("requirements-training.txt")
    _make_work(vocabulary, folder, quick)
    trained: dict[str, dict[str, Any]] = {}

    def contender(side: str, *command: str | Path) -> Sample:
        run = run_child(*command, folder)
        trained[side] = _trained_on(run)
        return {TOKENS_PER_SECOND.unit: run.number}

    def check() -> None:
        ours, theirs = trained["ours"], trained["theirs"]
        same_rows = all(ours[count] == theirs[count] for count in ("tokens", "supervised"))
        if not same_rows or abs(ours["loss"] - theirs["loss"]) > 0.01 * theirs["loss"]:
            raise BenchmarkFailed(f"the two did different work: ours {ours}, theirs {theirs}")

    return Duel(
        partial(contender, "ours", OUR_PYTHON, OUR_PROGRAMS / "fine_tune.py", precision),
        partial(contender, "theirs", python, PEER_PROGRAMS / "fine_tune.py", *peer, precision),
        check,
    )


def against_products(vocabulary: int, precision: str, folder: Path, quick: bool) -> Duel:
    _make_work(vocabulary, folder, quick)
    needed = needed_operations(json.loads((folder / "rows.json").read_text("utf-8")), vocabulary)

    def ours() -> Sample:
        run = run_child(OUR_PYTHON, OUR_PROGRAMS / "fine_tune.py", precision, folder)
        return {GFLOP_PER_SECOND.unit: needed / _trained_on(run)["tokens"] * run.number / 1e9}

    def theirs() -> Sample:
        sizes = map(str, (vocabulary, HIDDEN, FEED_FORWARD))
        run = run_child(OUR_PYTHON, OUR_PROGRAMS / "matrix_products.py", precision, *sizes)
        return {GFLOP_PER_SECOND.unit: run.number}

    return Duel(ours, theirs)


def needed_operations(rows: list[dict[str, Any]], vocabulary: int) -> float:
    """Of one pass over the rows, when nothing is computed that LoRA's gradient does not need: each frozen matrix once
    forward and once back, but for the first layer's input, which has no gradient; the head, and the last layer after its
    attention, only where a token is supervised; attention only to earlier tokens. What the adapter itself takes is left
    out."""
    tokens = sum(len(row["tokens"]) for row in rows)
    supervised = tokens - sum(row["prompt"] for row in rows)
    attention = sum(LAYERS * 3 * 4 * HIDDEN * len(row["tokens"]) ** 2 / 2 for row in rows)
    before = (4 * LAYERS - 2) * BEFORE_ATTENTION * tokens
    after = 4 * AFTER_ATTENTION * ((LAYERS - 1) * tokens + supervised)
    return before + after + 4 * vocabulary * HIDDEN * supervised + attention


def _make_work(vocabulary: int, folder: Path, quick: bool) -> None:
    rows = QUICK_ROWS if quick else ROWS
    run_child(OUR_PYTHON, OUR_PROGRAMS / "make_fine_tune.py", folder, str(vocabulary), str(rows))


def _trained_on(run: ChildRun) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(run.output.splitlines()[-2])
    return described


def _stages() -> list[Stage]:
    stages = []
    for name, (vocabulary, precision) in STAGE_INPUTS.items():
        for peer, how in PEERS.items():
            meaning = (
                f"LoRA of rank 16 on all projections of a random Llama with {vocabulary:,} tokens, {precision}, one "
                "thread, eight rows per step; start-up and the first step left out."
            )
            prepare: Callable[[Path, bool], Duel] = partial(against_trainer, vocabulary, precision, how)
            stages.append(Stage(name, peer, meaning, (TOKENS_PER_SECOND,), prepare, rounds=ROUNDS, quick_rounds=1))
        meaning = (
            "the share of the processor's matrix products that the same training reaches, counting needed ones only."
        )
        prepare = partial(against_products, vocabulary, precision)
        stages.append(Stage(name, "gemm-limit", meaning, (GFLOP_PER_SECOND,), prepare, rounds=ROUNDS, quick_rounds=1))
    return stages


STAGES = (*_stages(), *checkpoints.STAGES)

if __name__ == "__main__":
    harness.main(STAGES)
