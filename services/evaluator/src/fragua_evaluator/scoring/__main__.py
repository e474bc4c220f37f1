"""Run the scoring engine by hand or as a worker's child: `python -m fragua_evaluator.scoring JOB_DIR`."""

from __future__ import annotations

from fragua_evaluator.domain.evaluation_spec import parse_evaluation_spec
from fragua_platform.jobs.engine import JobDirectory, Reporter, prepare_libraries, run_engine


def run(job: JobDirectory, reporter: Reporter) -> None:
    spec = parse_evaluation_spec(job.read_spec())
    threads = prepare_libraries()
    # Imported late: torch and transformers take seconds, and a wrong specification should not wait for them.
    from fragua_evaluator.scoring.evaluate import evaluate

    evaluate(spec, job, reporter, threads)


if __name__ == "__main__":
    run_engine(run)
