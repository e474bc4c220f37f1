"""The recipe of a LoRA fine-tune, from top to bottom."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from fragua_platform.errors import LimitExceeded
from fragua_platform.jobs.engine import LIFELINE_VARIABLE, Interrupted, JobDirectory, Reporter
from fragua_trainer.domain.training_spec import SMALLER_AFTER, TrainingSpec
from fragua_trainer.training.checkpoint import Checkpoints
from fragua_trainer.training.diagnosis import overfitting, suspicion
from fragua_trainer.training.early_stopping import Ending, Stopping, take_best
from fragua_trainer.training.exam import Exam
from fragua_trainer.training.freed_memory import keep_freed_memory
from fragua_trainer.training.hardware import choose_device
from fragua_trainer.training.journal import Journal
from fragua_trainer.training.loop import train
from fragua_trainer.training.memory_use import OUT_OF_MEMORY, out_of_memory_reported
from fragua_trainer.training.outputs import Attempt, Outcome, save_adapter, write_session, write_training_info
from fragua_trainer.training.preparation import Preparation, begin, prepare
from fragua_trainer.training.progress import Progress
from fragua_trainer.training.ranks import ALONE, Ranks, join_ranks, leave_ranks
from fragua_trainer.training.run import RunState


def run(spec: TrainingSpec, job: JobDirectory, reporter: Reporter, threads: int) -> None:
    """Train an adapter for `inputs/base` on `inputs/dataset` and leave it in `outputs/`."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    disable_progress_bar()
    ranks = join_ranks()
    if ranks.count > 1:
        _train_with_others(spec, job, reporter, ranks)
        return
    try:
        with out_of_memory_reported(spec):
            fine_tune(spec, job, reporter)
        return
    except LimitExceeded as exceeded:
        if exceeded.reason != OUT_OF_MEMORY or not spec.retry_smaller:
            raise
        notice = f"tried again with half the rows at once and gradient checkpointing, after: {exceeded.message}"
    # Out here nothing of the failed try is referenced any more.
    gc.collect()
    torch.cuda.empty_cache()
    with out_of_memory_reported(spec.smaller()):
        fine_tune(spec.smaller(), job, reporter, [notice])


def _train_with_others(spec: TrainingSpec, job: JobDirectory, reporter: Reporter, ranks: Ranks) -> None:
    # What memory ran out on one rank, the others know nothing of; so it is told, and nothing is tried again.
    with ExitStack() as stack:
        stack.callback(leave_ranks)
        stack.enter_context(out_of_memory_reported(spec))
        if not ranks.first:
            # What it would leave is what the first rank leaves.
            job = _ElsewhereLeaving(job.root, Path(stack.enter_context(TemporaryDirectory())))
        fine_tune(spec, job, reporter, ranks=ranks)


@dataclass(frozen=True)
class _ElsewhereLeaving(JobDirectory):
    """The same inputs, with outputs that nobody looks at."""

    elsewhere: Path

    @property
    def outputs(self) -> Path:
        return self.elsewhere


def fine_tune(
    spec: TrainingSpec,
    job: JobDirectory,
    reporter: Reporter,
    notices: Sequence[str] = (),
    ranks: Ranks = ALONE,
) -> None:
    started, device = datetime.now(UTC), choose_device(ranks)

    def tell_loading(what: str, total_steps: int = 0) -> None:
        if ranks.any(reporter.stop_requested, device):
            raise Interrupted  # nothing is trained yet, so there is nothing to save
        reporter.progress("loading", 0, total_steps, what)

    tell_loading("checking the base model and the dataset")
    if ranks.first:
        write_session(job.root, device)
    ready = prepare(spec, job, device, tell_loading, ranks, ranks.count)
    tell_loading("loading the base model", ready.plan.total_steps)
    training = begin(ready, ranks)

    journal = Journal(job.outputs)
    # A worker takes every checkpoint away as soon as it is uploaded.
    keep = None if LIFELINE_VARIABLE in os.environ else spec.logging.keep_checkpoints
    with Checkpoints(job, reporter, _fingerprint(ready), journal.files, keep) as checkpoints:
        if job.resume_from is not None:
            checkpoints.restore(training, job.resume_from)
        attempt = Attempt(started, training.state.step)

        eval_steps = ready.logging.eval_steps if ready.dataset.validation.examples else 0
        progress = Progress(reporter, ready.plan, journal, training.state, eval_steps)
        notices = [*notices, *ready.notices]
        if why := spec.provenance.get(SMALLER_AFTER):
            notices.append(f"half the rows at once and gradient checkpointing, since {why}")
        if ranks.count > 1:
            notices.append(f"{ranks.count} processes share the rows of each step")
        for notice in notices:
            progress.notice(training.state, notice)
        ending = train(
            training, ready.dataset, ready.plan, ready.logging, checkpoints, progress, _stopping(spec, ready)
        )
        checkpoints.finish()

    progress.saving(training.state)
    adapter_step = take_best(training)
    told = _told(ending, training.state, adapter_step, ready)
    if told:
        progress.notice(training.state, told)
        notices.append(told)
    losses = journal.losses()
    suspicions = [found for found in (suspicion(losses), overfitting(losses, training.state.validation)) if found]
    save_adapter(training, ready.base, job.outputs)
    outcome = Outcome(
        ending=ending,
        adapter_step=adapter_step,
        adapter_loss=journal.last("loss", adapter_step),
        adapter_validation_loss=journal.last("validation_loss", adapter_step),
        suspicions=suspicions,
        notices=[*notices, *suspicions],
    )
    write_training_info(training, spec, ready, outcome, attempt, job.outputs)
    journal.close()


def _stopping(spec: TrainingSpec, ready: Preparation) -> Stopping:
    chat = ready.base.chat_format(spec.schedule.max_length)
    exam = Exam.of(spec.early_stopping, chat, ready.dataset.validation.examples, spec.schedule.batch_size)
    return Stopping(spec.early_stopping, spec.limits.max_seconds, exam)


def _told(ending: Ending, state: RunState, adapter_step: int, ready: Preparation) -> str:
    """What a person has to know of how the run ended; empty when all went as planned."""
    parts = []
    if ending is Ending.TIME_LIMIT:
        parts.append(
            f"limits.max_seconds was reached at step {state.step} of {ready.plan.total_steps}: "
            "the adapter is what was trained until then"
        )
    if ending is Ending.NO_IMPROVEMENT and state.best is not None:
        parts.append(
            f"stopped at step {state.step} of {ready.plan.total_steps}: "
            f"{state.best.metric} did not improve in {state.stale} measurements"
        )
    if adapter_step != state.step and state.best is not None:
        parts.append(
            f"the adapter is that of step {adapter_step}, the best: {state.best.metric} {state.best.value:.4f}"
        )
    elif state.best is not None and state.best.step != adapter_step:
        parts.append(
            f"{state.best.metric} was best at step {state.best.step}, {state.best.value:.4f}, and the adapter is that of "
            f"step {adapter_step}: early_stopping.patience publishes the best one"
        )
    return "; ".join(parts)


def _fingerprint(ready: Preparation) -> dict[str, Any]:
    """What decides the adapter that comes out; how often the run is logged and saved does not.

    Neither does how the rows of a step are split up: a run may go on with fewer at once where memory is short.
    """
    train, validation = ready.dataset.train, ready.dataset.validation
    split = {"batch_size", "gradient_accumulation", "gradient_checkpointing"}
    return {
        "lora": ready.lora.model_dump(mode="json"),
        "schedule": ready.spec.schedule.model_dump(mode="json", exclude=split),
        "rows_per_step": ready.plan.examples_per_step,
        "early_stopping": ready.spec.early_stopping.model_dump(mode="json"),
        "precision": ready.precision.value,
        "quantization": ready.quantization.value,
        "optimizer": ready.optimizer.value,
        "warm_start": ready.spec.warm_start,
        "dataset": {"train": train.sha256, "validation": validation.sha256},
        "rows": {"train": len(train), "validation": len(validation)},
    }
