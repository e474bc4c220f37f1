"""What a run would need and do: `python -m fragua_trainer.training.preflight JOB_DIR` leaves `outputs/estimate.json`.

`spec.json` is an `EstimateOrder`; the inputs are those of a run. Nothing is trained that anybody keeps.
"""

from __future__ import annotations

from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import JobDirectory, Reporter, prepare_libraries, run_engine
from fragua_trainer.domain.training_spec import TrainingSpec


def preflight(job: JobDirectory, reporter: Reporter) -> None:
    raw = job.read_spec()
    measure = raw.pop("measure", False)
    if not isinstance(measure, bool) or set(raw) != {"training"}:
        raise InvalidInput('spec.json must be {"training": {…}, "measure": true or false}')
    spec = TrainingSpec.parse(raw["training"])
    threads = prepare_libraries()
    # Imported late: torch and transformers take seconds, and a wrong specification should not wait for them.
    from fragua_trainer.training.measurement import estimate
    from fragua_trainer.training.memory_use import out_of_memory_reported

    with out_of_memory_reported(spec):
        found = estimate(spec, job, reporter, threads, measure=measure)
    (job.outputs / "estimate.json").write_text(found.model_dump_json(indent=2), "utf-8")


if __name__ == "__main__":
    run_engine(preflight)
