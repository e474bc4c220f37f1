"""Run the scoring engine by hand or as a worker's child: `python -m fragua_evaluator.scoring JOB_DIR`."""

from __future__ import annotations

import os

from fragua_evaluator.domain.evaluation_spec import parse_evaluation_spec
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import JobDirectory, Reporter, run_engine

THREADS_VARIABLE = "FRAGUA_ENGINE_THREADS"


def evaluate(job: JobDirectory, reporter: Reporter) -> None:
    spec = parse_evaluation_spec(job.read_spec())
    threads = _threads(os.environ.get(THREADS_VARIABLE, ""))
    # Libraries read these while they are imported. Inputs are local files: nothing is ever looked up on a hub.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    # Imported late: torch and transformers take seconds, and a wrong specification should not wait for them.
    from fragua_evaluator.scoring.score import score

    score(spec, job, reporter, threads)


def _threads(text: str) -> int:
    """How many cores to compute on; all of this process's cores unless the variable says otherwise."""
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInput(f"{THREADS_VARIABLE} is {text!r}, expected a number of threads such as 4")
    return int(text)


if __name__ == "__main__":
    run_engine(evaluate)
