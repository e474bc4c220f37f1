"""The recipe of a LoRA fine-tune, from top to bottom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter
from fragua_trainer.domain.training_spec import TrainingSpec
from fragua_trainer.training.checkpoint import Checkpoints
from fragua_trainer.training.hardware import choose_device, out_of_memory_reported
from fragua_trainer.training.loop import train
from fragua_trainer.training.outputs import Attempt, save_adapter, write_training_info
from fragua_trainer.training.preparation import Preparation, begin, prepare
from fragua_trainer.training.progress import Progress


@out_of_memory_reported()
def run(spec: TrainingSpec, job: JobDirectory, reporter: Reporter, threads: int) -> None:
    """Train an adapter for `inputs/base` on `inputs/dataset` and leave it in `outputs/`."""
    started = datetime.now(UTC)
    torch.set_num_threads(threads)
    disable_progress_bar()
    device = choose_device()

    def tell_loading(what: str, total_steps: int = 0) -> None:
        if reporter.stop_requested:
            raise Interrupted  # nothing is trained yet, so there is nothing to save
        reporter.progress("loading", 0, total_steps, what)

    tell_loading("checking the base model and the dataset")
    ready = prepare(spec, job, device, tell_loading)
    tell_loading("loading the base model", ready.plan.total_steps)
    training = begin(ready)

    metrics_file = job.outputs / "metrics.jsonl"
    metrics_file.unlink(missing_ok=True)
    checkpoints = Checkpoints(job, reporter, _fingerprint(ready), metrics_file)
    if job.resume_from is not None:
        checkpoints.restore(training, job.resume_from)
    attempt = Attempt(started, training.state.step)

    progress = Progress(reporter, ready.plan, metrics_file)
    train(training, ready.dataset, ready.plan, spec.logging, checkpoints, progress)

    progress.saving(training.state)
    save_adapter(training, ready.base, job.outputs)
    write_training_info(training, spec, ready.plan, ready.dataset, ready.targets, ready.notices, attempt, job.outputs)


def _fingerprint(ready: Preparation) -> dict[str, Any]:
    """What decides the adapter that comes out; how often the run is logged and saved does not."""
    train, validation = ready.dataset.train, ready.dataset.validation
    return {
        "lora": ready.lora.model_dump(mode="json"),
        "schedule": ready.spec.schedule.model_dump(mode="json"),
        "precision": ready.precision.value,
        "quantization": ready.quantization.value,
        "optimizer": ready.optimizer.value,
        "warm_start": ready.spec.warm_start,
        "dataset": {"train": train.sha256, "validation": validation.sha256},
        "rows": {"train": len(train), "validation": len(validation)},
    }
