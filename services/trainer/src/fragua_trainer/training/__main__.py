"""Run the training engine by hand or as a worker's child: `python -m fragua_trainer.training JOB_DIR`."""

from __future__ import annotations

from fragua_platform.jobs.engine import JobDirectory, Reporter, prepare_libraries, run_engine
from fragua_trainer.domain.training_spec import TrainingSpec
from fragua_trainer.training.launch import processes_wanted, run_ranks


def train(job: JobDirectory, reporter: Reporter) -> None:
    spec = TrainingSpec.parse(job.read_spec())
    threads = prepare_libraries()
    if (processes := processes_wanted()) > 1:
        run_ranks(processes, threads, job, reporter)
        return
    # Imported late: torch and transformers take seconds, and a wrong specification should not wait for them.
    from fragua_trainer.training.recipe import run

    run(spec, job, reporter, threads)


if __name__ == "__main__":
    run_engine(train)
