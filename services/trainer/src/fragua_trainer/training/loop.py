"""The training loop: optimizer steps, validation and checkpoints at step boundaries, until there is reason to end."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from fragua_platform.jobs.engine import Interrupted
from fragua_trainer.domain.training_spec import LoggingSpec
from fragua_trainer.training.batch import IGNORED, Batch, Example
from fragua_trainer.training.checkpoint import Checkpoints
from fragua_trainer.training.diagnosis import Diverged, rows_at_fault, with_rows
from fragua_trainer.training.early_stopping import Ending, Stopping
from fragua_trainer.training.examples import Dataset
from fragua_trainer.training.optimizers import set_learning_rate, trained_parameters
from fragua_trainer.training.packing import Pack
from fragua_trainer.training.progress import Progress
from fragua_trainer.training.ranks import ALONE
from fragua_trainer.training.run import Measured, Run, Window
from fragua_trainer.training.schedule import Plan

MAX_GRAD_NORM = 1.0
NEVER_EARLY = Stopping()
MICRO_BATCHES_ARRANGED = 32
"""At once for validation; packing takes time by the square of them."""


@dataclass(frozen=True)
class Step:
    """What one optimizer step measured."""

    loss: float
    grad_norm: float
    supervised_tokens: int
    tokens: int


def train(
    run: Run,
    dataset: Dataset,
    plan: Plan,
    logging: LoggingSpec,
    checkpoints: Checkpoints,
    progress: Progress,
    stopping: Stopping = NEVER_EARLY,
) -> Ending:
    """Take the steps that are left; returns why there are no more.

    On a requested stop, save at the step boundary, wait until that is written, and raise `Interrupted`.

    A stop during validation saves too; the resumed run then measures that validation loss first, so that its record
    is the same as that of an unbroken run.
    """
    run.keep_library()
    state = run.state
    saved_step = state.step
    while True:
        ending = stopping.ending(state, plan)
        if _evaluation_due(run, dataset, logging, ending):
            _evaluate(run, dataset.validation.examples, plan.schedule.batch_size, progress, stopping)
            ending = ending or stopping.ending(state, plan)
        stop = run.ranks.any(progress.stop_requested, run.device)
        # A run that ends before its plan has nothing else to go on from, should publishing it fail.
        due = state.step % logging.save_steps == 0 or ending not in (None, Ending.ALL_STEPS)
        if state.step > saved_step and (stop or due):
            checkpoints.save(run)
            saved_step = state.step
        if stop:
            checkpoints.finish()
            raise Interrupted
        if ending is not None:
            return ending
        _advance(run, dataset.train.examples, plan, logging, progress)


def take_step(
    run: Run, batches: Sequence[Batch | Pack], learning_rate: float, progress: Progress | None = None
) -> Step:
    """One optimizer step over this rank's micro-batches, each weighted by its supervised tokens.

    So the gradient is that of one large batch: averaging per micro-batch, or per rank, would let short answers count for
    more.
    """
    counts = torch.tensor(
        [
            float(sum(batch.supervised_tokens for batch in batches)),
            float(sum(batch.token_count for batch in batches)),
        ],
        device=run.device,
    )
    run.ranks.add_up([counts])
    supervised_tokens, tokens = (int(count) for count in counts.tolist())
    loss = torch.zeros((), device=run.device)
    run.model.train()
    batches = run.in_company(batches)
    for done, batch in enumerate(batches):
        if progress is not None:
            progress.within_step(run.state, done, len(batches))
        share = summed_loss(run, batch) / supervised_tokens
        share.backward()
        loss += share.detach()
    _add_up_gradients(run, loss)
    grad_norm = torch.nn.utils.clip_grad_norm_(trained_parameters(run.optimizer), MAX_GRAD_NORM)
    measured = Step(loss.item(), grad_norm.item(), supervised_tokens, tokens)
    # Before the optimizer: weights that a NaN has touched can not be saved any more.
    if not (math.isfinite(measured.loss) and math.isfinite(measured.grad_norm)):
        raise _diverged(run.state.step + 1, learning_rate, measured)
    set_learning_rate(run.optimizer, learning_rate)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    return measured


def _add_up_gradients(run: Run, loss: torch.Tensor) -> None:
    """Of all ranks; one that has no row of this step has no gradient yet."""
    if run.ranks.count == 1:
        return
    parameters = trained_parameters(run.optimizer)
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    run.ranks.add_up([loss, *(parameter.grad for parameter in parameters if parameter.grad is not None)])


def summed_loss(run: Run, batch: Batch | Pack) -> torch.Tensor:
    """Cross-entropy summed over the supervised tokens of the batch."""
    if isinstance(batch, Pack):
        assert run.decoder is not None
        return run.decoder.summed_loss(batch)
    batch = batch.to(run.device)
    # The output at one position predicts the token after it.
    targets = batch.labels[:, 1:]
    # A vocabulary is wide: logits are computed only where some row of the batch has a supervised token.
    positions = (targets != IGNORED).any(dim=0).nonzero().squeeze(1)
    with run.autocast():
        logits = run.model(
            input_ids=batch.tokens, attention_mask=batch.attention_mask, logits_to_keep=positions, use_cache=False
        ).logits
    return functional.cross_entropy(
        logits.float().flatten(0, 1), targets[:, positions].flatten(), ignore_index=IGNORED, reduction="sum"
    )


def _advance(run: Run, examples: list[Example], plan: Plan, logging: LoggingSpec, progress: Progress) -> None:
    state = run.state
    progress.step_begins()
    started = time.monotonic()
    rows = [[examples[index] for index in indices] for indices in plan.micro_batches(state.step)]
    batches = run.arrange(run.share(rows))
    # Dropout of a step depends on nothing before it, so that a resumed run draws the same; ranks draw for other rows.
    torch.manual_seed((plan.schedule.seed + state.step * 1_000_003 + run.ranks.number * 7_919) % 2**63)
    learning_rate = plan.learning_rate(state.step)
    try:
        step = take_step(run, batches, learning_rate, progress)
    except Diverged as diverged:
        of_step = [example for some in rows for example in some]
        raise with_rows(diverged, of_step, _at_fault(run, of_step)) from None
    seconds = run.ranks.as_first(time.monotonic() - started, run.device)

    state.step += 1
    state.training_seconds += seconds
    state.tokens += step.tokens
    state.window.loss_sum += step.loss * step.supervised_tokens
    state.window.supervised_tokens += step.supervised_tokens
    state.window.tokens += step.tokens
    state.window.seconds += seconds
    log = state.step % logging.log_steps == 0 or state.step in (1, plan.total_steps)
    progress.step_done(state, learning_rate, step.grad_norm, log)
    if log:
        state.loss = Measured.extend(state.loss, state.window.loss, state.step)
        state.window = Window()


def _at_fault(run: Run, rows: Sequence[Example]) -> list[Example]:
    def loss_of(example: Example) -> torch.Tensor:
        (batch,) = run.arrange([[example]])
        return summed_loss(run, batch)

    return rows_at_fault(rows, trained_parameters(run.optimizer), loss_of)


def _evaluation_due(run: Run, dataset: Dataset, logging: LoggingSpec, ending: Ending | None) -> bool:
    step = run.state.step
    if not dataset.validation.examples or step == run.state.evaluated_step:
        return False
    return step % logging.eval_steps == 0 or ending is not None


@torch.no_grad()
def _evaluate(run: Run, examples: list[Example], batch_size: int, progress: Progress, stopping: Stopping) -> None:
    """Measure this step on the validation rows; a requested stop leaves it for the resumed run."""
    progress.validation_begins()
    # Rows of like length side by side waste little on padding, and here order changes nothing.
    ordered = sorted(examples, key=lambda example: len(example.tokens))
    side_by_side = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
    batches = [
        batch
        for start in range(0, len(side_by_side), MICRO_BATCHES_ARRANGED)
        for batch in run.arrange(side_by_side[start : start + MICRO_BATCHES_ARRANGED])
    ]
    loss_sum = torch.zeros((), dtype=torch.float64)
    run.model.eval()
    for start in range(0, len(batches), run.ranks.count):
        if run.ranks.any(progress.stop_requested, run.device):
            return
        for batch in run.in_company(run.ranks.share(batches[start : start + run.ranks.count])):
            loss_sum += summed_loss(run, batch).item()
        done = min(start + run.ranks.count, len(batches))
        progress.evaluating(run.state, f"validation batch {done}/{len(batches)}")
    validation_loss = run.ranks.add_up_value(loss_sum.item(), run.device)
    validation_loss /= sum(batch.supervised_tokens for batch in batches)
    metrics = {"validation_loss": validation_loss}
    if stopping.exam is not None:
        # Rank 0 asks alone, unless it holds but a part of the base: then all ask the same.
        together = run.ranks if run.sharded else ALONE

        def go_on(done: int, total: int) -> bool:
            progress.evaluating(run.state, f"answering validation row {done + 1}/{total}")
            return not together.any(progress.stop_requested, run.device)

        score = stopping.exam.score(run, go_on) if run.ranks.first or run.sharded else None
        score = run.ranks.as_first(math.nan if score is None else score, run.device)
        if math.isnan(score):
            return
        metrics[stopping.spec.metric.value] = score
    run.state.validation = Measured.extend(run.state.validation, validation_loss, run.state.step)
    run.state.evaluated_step = run.state.step
    stopping.judge(run, metrics[stopping.spec.metric.value])
    progress.evaluated(run.state, metrics)


def _diverged(step: int, learning_rate: float, measured: Step) -> Diverged:
    return Diverged(
        f"training diverged at step {step}: loss {measured.loss}, gradient norm {measured.grad_norm} at learning rate "
        f"{learning_rate:g}; lower schedule.learning_rate, lengthen schedule.warmup_steps, or use precision fp32"
    )
