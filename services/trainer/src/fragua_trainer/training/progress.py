"""Tells how the run goes: records for the worker, and the journal beside the adapter for everyone after it.

`step` and `total` always count optimizer steps of the whole run, in every phase, so a bar drawn from them never jumps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from fragua_platform.jobs.engine import Reporter
from fragua_trainer.training.diagnosis import suspicion
from fragua_trainer.training.journal import Journal
from fragua_trainer.training.memory_use import memory_now
from fragua_trainer.training.pace import Pace, in_words
from fragua_trainer.training.run import RunState
from fragua_trainer.training.schedule import Plan

REPORT_SECONDS = 1.0


class Progress:
    def __init__(
        self,
        reporter: Reporter,
        plan: Plan,
        journal: Journal,
        state: RunState,
        eval_steps: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`state` is where this attempt begins; validation comes every `eval_steps`, with 0 never."""
        self._reporter = reporter
        self._plan = plan
        self._journal = journal
        self._eval_steps = eval_steps
        self._clock = clock
        self._pace = Pace(state.training_seconds / state.step if state.step else 0.0)
        self._began = clock()
        """The step or the validation at hand."""
        self._reported_at = -math.inf
        self._losses = journal.losses()
        self._suspicion = ""

    @property
    def stop_requested(self) -> bool:
        return self._reporter.stop_requested

    def step_begins(self) -> None:
        self._began = self._clock()

    def step_done(self, state: RunState, learning_rate: float, grad_norm: float, log: bool) -> None:
        """Report the step that was just taken; `log` also closes the window that the loss is averaged over."""
        self._pace.step_taken(self._clock() - self._began)
        metrics = {
            "loss": state.window.loss,
            "learning_rate": learning_rate,
            "grad_norm": grad_norm,
            "tokens_per_second": state.window.tokens_per_second,
            "epoch": self._plan.epoch_of(state.step),
        }
        if log:
            metrics |= memory_now()
            self._note(state, metrics)
        if log or self._silent_for_a_while():
            self._report("training", state, self._describe(state, metrics), metrics)
        if log:
            self._look_at(metrics["loss"], state)

    def within_step(self, state: RunState, done: int, total: int) -> None:
        """A single step of a large model may take minutes; show that it moves."""
        if self._silent_for_a_while():
            doing = f"step {state.step + 1}/{self._plan.total_steps}, {done}/{total} micro-batches done"
            left = self._left(state, done / total, self._clock() - self._began)
            self._report("training", state, " · ".join([doing, *left]))

    def validation_begins(self) -> None:
        self._began = self._clock()

    def evaluating(self, state: RunState, doing: str) -> None:
        if self._silent_for_a_while():
            self._report("evaluating", state, doing)

    def evaluated(self, state: RunState, metrics: dict[str, float]) -> None:
        self._pace.validated(self._clock() - self._began)
        self._note(state, metrics)
        self._report("evaluating", state, self._describe(state, metrics), metrics)

    def notice(self, state: RunState, text: str) -> None:
        """Something that a person has to know."""
        self._journal.log(text)
        self._report("training", state, text)

    def saving(self, state: RunState) -> None:
        self._report("saving", state, "writing the adapter")

    def _look_at(self, loss: float, state: RunState) -> None:
        self._losses.append(loss)
        found = suspicion(self._losses)
        if found and not self._suspicion:
            self.notice(state, found)
        self._suspicion = found

    def _describe(self, state: RunState, metrics: dict[str, float]) -> str:
        epoch = math.ceil(self._plan.epoch_of(state.step))
        parts = [f"epoch {epoch}/{math.ceil(self._plan.total_epochs)}", f"step {state.step}/{self._plan.total_steps}"]
        if "loss" in metrics:
            parts.append(f"loss {metrics['loss']:.3f}")
        if state.validation is not None:
            parts.append(f"val loss {state.validation.last:.3f}")
        if "tokens_per_second" in metrics:
            parts.append(f"{metrics['tokens_per_second']:.0f} tok/s")
        return " · ".join([*parts, *self._left(state)])

    def _left(self, state: RunState, done: float = 0.0, seconds: float = 0.0) -> list[str]:
        """The part of a line that tells when the run ends; nothing while that is not known."""
        steps = self._plan.total_steps - state.step
        last = self._plan.total_steps
        validations = last // self._eval_steps - state.step // self._eval_steps if self._eval_steps else 0
        # The last step is always measured.
        if self._eval_steps and last % self._eval_steps and steps:
            validations += 1
        left = self._pace.seconds_left(steps, validations, done, seconds)
        return [] if left is None else [f"ETA {in_words(left)}"]

    def _silent_for_a_while(self) -> bool:
        return self._clock() - self._reported_at >= REPORT_SECONDS

    def _note(self, state: RunState, metrics: dict[str, float]) -> None:
        self._journal.measured(state.step, metrics)
        self._journal.log(self._describe(state, metrics))

    def _report(self, phase: str, state: RunState, message: str, metrics: dict[str, float] | None = None) -> None:
        self._reporter.progress(phase, state.step, self._plan.total_steps, message, metrics)
        self._reported_at = self._clock()
