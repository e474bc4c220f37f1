"""Measures how long a checkpoint holds the steps up: our engine against the Trainer of transformers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import harness
from children import OUR_PROGRAMS, OUR_PYTHON, PEER_PROGRAMS, peer_python, run_child
from harness import Duel, Metric, Sample, Stage

SAVES, QUICK_SAVES = 8, 3
ROUNDS = 3
MILLISECONDS = Metric("ms blocked per checkpoint", more_is_better=False)
VOCABULARY = 32_768


def checkpoint_blocking(folder: Path, quick: bool) -> Duel:
    python = peer_python("requirements-training.txt")
    run_child(OUR_PYTHON, OUR_PROGRAMS / "make_fine_tune.py", folder, str(VOCABULARY), "1")
    saves = str(QUICK_SAVES if quick else SAVES)

    def contender(*command: str | Path) -> Sample:
        return {MILLISECONDS.unit: run_child(*command, folder, saves).number}

    return Duel(
        partial(contender, OUR_PYTHON, OUR_PROGRAMS / "save_checkpoint.py"),
        partial(contender, python, PEER_PROGRAMS / "save_checkpoint.py"),
    )


STAGES = (
    Stage(
        "checkpoint-blocking",
        "hf-trainer",
        "how long a save of adapter, optimizer and the rest keeps training from its next step; 1.4 million trained "
        "parameters. Ours is then written by a thread, whose share of the processor is not counted.",
        (MILLISECONDS,),
        checkpoint_blocking,
        rounds=ROUNDS,
        quick_rounds=1,
    ),
)

if __name__ == "__main__":
    harness.main(STAGES)
