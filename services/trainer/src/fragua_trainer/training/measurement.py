"""Estimates a run: counts what is known beforehand, and times a few steps of it when asked to."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from transformers.utils.logging import disable_progress_bar

from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter
from fragua_trainer.domain.estimate import Estimate, MaskProof, TargetMatch
from fragua_trainer.domain.training_spec import TrainingSpec
from fragua_trainer.training.adapter import layer_shapes, trainable_parameters
from fragua_trainer.training.batch import IGNORED, Example
from fragua_trainer.training.hardware import choose_device, peak_memory
from fragua_trainer.training.launch import processes_wanted
from fragua_trainer.training.loop import summed_loss, take_step
from fragua_trainer.training.preparation import Preparation, begin, prepare
from fragua_trainer.training.run import Run

MEASURED_STEPS = 4
"""The first one warms up and does not count, unless it is the only one."""
ENOUGH_SECONDS = 60.0
"""No further step begins after this long: a step of a large model on a CPU takes minutes."""
VALIDATION_ROWS = 8
A_DAY = 24 * 3600.0


def estimate(spec: TrainingSpec, job: JobDirectory, reporter: Reporter, threads: int, *, measure: bool) -> Estimate:
    torch.set_num_threads(threads)
    disable_progress_bar()

    def tell(what: str) -> None:
        if reporter.stop_requested:
            raise Interrupted
        reporter.progress("estimating", 0, 0, what)

    tell("checking the base model and the dataset")
    ready = prepare(spec, job, choose_device(), tell, processes=processes_wanted())
    found = Estimate(
        trainable_parameters=ready.trainable,
        base_parameters=sum(parameter.numel() for parameter in ready.layers.parameters()),
        targets=_target_matches(ready),
        mask=_mask_proof(ready),
        tokens_per_epoch=_tokens(ready.dataset.train.examples),
        steps=ready.plan.total_steps,
        memory_bytes=ready.memory_bytes,
        disk_bytes=ready.disk_bytes,
        notices=ready.notices,
    )
    if not measure:
        return found
    if ready.shards > 1:
        notice = f"no step was measured: the base is split over {ready.shards} processes, and an estimate is one"
        return found.model_copy(update={"notices": (*found.notices, notice)})
    tell("loading the base model")
    run = begin(ready)
    tell("measuring steps")
    seconds_per_token = _time_steps(run, ready)
    tell("measuring a validation")
    validation_seconds = _time_validation(run, ready)
    seconds_per_step = seconds_per_token * found.tokens_per_epoch / ready.plan.steps_per_epoch
    validations = ready.plan.total_steps // ready.logging.eval_steps
    peak = peak_memory(ready.device)
    seconds = seconds_per_step * found.steps + validations * validation_seconds
    return found.model_copy(
        update={
            "notices": (*found.notices, *_too_long(seconds, ready.spec)),
            # Counted on the model itself now, with biases if these train along.
            "trainable_parameters": sum(parameter.numel() for _, parameter in trainable_parameters(run.model)),
            "memory_bytes": peak.get("gpu_bytes", peak["process_bytes"]),
            "seconds_per_step": seconds_per_step,
            "seconds": seconds,
        }
    )


def _too_long(seconds: float, spec: TrainingSpec) -> list[str]:
    """Of a run that is longer than a day, what makes it shorter. R125, R177"""
    if seconds <= A_DAY:
        return []
    schedule = spec.schedule
    shorter = "schedule.max_steps" if schedule.max_steps else f"schedule.epochs (now {schedule.epochs:g})"
    return [
        f"longer than a day: fewer rows (limits.train_rows: 50 to 80 for a first look), a lower {shorter}, a lower "
        f"lora.rank (now {spec.lora.rank}), shorter rows, or a smaller base make it shorter"
    ]


def _target_matches(ready: Preparation) -> tuple[TargetMatch, ...]:
    shapes = layer_shapes(ready.layers, ready.targets)
    return tuple(
        TargetMatch(target=target, layers=count, shape=shapes[target]) for target, count in ready.targets.items()
    )


def _mask_proof(ready: Preparation) -> MaskProof:
    examples = [*ready.dataset.train.examples, *ready.dataset.validation.examples]
    ends = ready.base.chat_format(ready.spec.schedule.max_length).end_of_turn
    supervised = [sum(label != IGNORED for label in example.labels) for example in examples]
    return MaskProof(
        rows=len(examples),
        tokens=_tokens(examples),
        supervised_tokens=sum(supervised),
        shortest_answer_tokens=min(supervised),
        longest_row_tokens=max(len(example.tokens) for example in examples),
        rows_with_end_of_turn=sum(_every_answer_ends(example, ends) for example in examples),
    )


def _every_answer_ends(example: Example, ends: frozenset[int]) -> bool:
    following = [*example.labels[1:], IGNORED]
    last = [label for label, after in zip(example.labels, following, strict=True) if label != IGNORED == after]
    return bool(last) and all(label in ends for label in last)


def _tokens(examples: Sequence[Example]) -> int:
    return sum(len(example.tokens) for example in examples)


def _time_steps(run: Run, ready: Preparation) -> float:
    """Seconds per token of the first steps of the run."""
    examples, timed = ready.dataset.train.examples, []
    began = time.monotonic()
    run.keep_library()
    for step in range(min(MEASURED_STEPS, ready.plan.total_steps)):
        started = time.monotonic()
        batches = run.arrange([[examples[at] for at in indices] for indices in ready.plan.micro_batches(step)])
        taken = take_step(run, batches, ready.plan.learning_rate(step))
        timed.append((time.monotonic() - started, taken.tokens))
        if time.monotonic() - began > ENOUGH_SECONDS:
            break
    counted = timed[1:] or timed
    return sum(seconds for seconds, _ in counted) / sum(tokens for _, tokens in counted)


@torch.no_grad()
def _time_validation(run: Run, ready: Preparation) -> float:
    """Seconds of one validation, from its first rows."""
    examples = ready.dataset.validation.examples
    if not examples:
        return 0.0
    sample = examples[:VALIDATION_ROWS]
    run.model.eval()
    started = time.monotonic()
    for batch in run.arrange([sample]):
        summed_loss(run, batch)
    return (time.monotonic() - started) * _tokens(examples) / _tokens(sample)
