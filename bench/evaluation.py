"""Measures evaluations on one CPU core: multiple choice against lm-evaluation-harness, answers against transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import harness
from children import OUR_PROGRAMS, OUR_PYTHON, PEER_PROGRAMS, BenchmarkFailed, peer_python, run_child
from harness import Duel, Metric, Sample, Stage

QUESTIONS = {"choose": (32, 8), "generate": (48, 24)}
"""In full and in quick runs. Fewer answers than this would leave little to continue with."""
ROUNDS = 3
SAME_SCORE = 1e-4
QUESTIONS_PER_SECOND = Metric("questions per CPU-second", more_is_better=True)
TOKENS_PER_SECOND = Metric("new tokens per CPU-second", more_is_better=True)


def choose(folder: Path, quick: bool) -> Duel:
    return _duel("choose", QUESTIONS_PER_SECOND, _check_scores, folder, quick)


def generate(folder: Path, quick: bool) -> Duel:
    return _duel("generate", TOKENS_PER_SECOND, _check_answers, folder, quick)


def _duel(task: str, metric: Metric, check: Callable[[Any, Any], None], folder: Path, quick: bool) -> Duel:
    python = peer_python("requirements-evaluation.txt")
    questions = QUESTIONS[task][quick]
    run_child(OUR_PYTHON, OUR_PROGRAMS / "make_evaluation.py", folder, task, str(questions))
    results = {side: folder / f"{side}.json" for side in ("ours", "theirs")}

    def contender(side: str, *command: str | Path) -> Sample:
        return {metric.unit: run_child(*command, folder, results[side]).number}

    def check_results() -> None:
        ours, theirs = (json.loads(results[side].read_text("utf-8")) for side in ("ours", "theirs"))
        if ours.keys() != theirs.keys() or len(ours) != questions:
            raise BenchmarkFailed(f"of {questions} questions ours answered {len(ours)}, theirs {len(theirs)}")
        check(ours, theirs)

    return Duel(
        partial(contender, "ours", OUR_PYTHON, OUR_PROGRAMS / "evaluate.py", task),
        partial(contender, "theirs", python, PEER_PROGRAMS / f"{task}.py"),
        check_results,
    )


def _check_scores(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> None:
    """Log-likelihoods are sums over a choice's tokens."""
    apart = max(abs(one - other) for key in ours for one, other in zip(ours[key], theirs[key], strict=True))
    print(f"  largest difference of a choice's log-likelihood: {apart:.1e}", flush=True)
    if apart > SAME_SCORE:
        raise BenchmarkFailed(f"a choice's log-likelihoods are {apart} apart")


def _check_answers(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> None:
    different = [key for key in ours if ours[key] != theirs[key]]
    if different:
        raise BenchmarkFailed(f"{len(different)} of {len(ours)} answers differ, such as {different[0]}")


STAGES = (
    Stage(
        "multiple-choice",
        "lm-evaluation-harness",
        "a random Llama of 80M parameters and 32,768 tokens in fp32, one thread; four choices a question; loading left out.",
        (QUESTIONS_PER_SECOND,),
        choose,
        rounds=ROUNDS,
        quick_rounds=1,
    ),
    Stage(
        "generation",
        "hf-static-batch-8",
        "the same model; greedy answers of 8 to 200 tokens; tokens beyond an answer's end are not counted.",
        (TOKENS_PER_SECOND,),
        generate,
        rounds=ROUNDS,
        quick_rounds=1,
    ),
)

if __name__ == "__main__":
    harness.main(STAGES)
