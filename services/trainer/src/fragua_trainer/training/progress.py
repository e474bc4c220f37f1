"""Tells how the run goes: records for the worker, and metrics.jsonl beside the adapter for everyone after it.

`step` and `total` always count optimizer steps of the whole run, in every phase, so a bar drawn from them never jumps.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from fragua_platform.jobs.engine import Reporter
from fragua_trainer.training.run import RunState
from fragua_trainer.training.schedule import Plan

REPORT_SECONDS = 1.0


class Progress:
    def __init__(self, reporter: Reporter, plan: Plan, metrics_file: Path) -> None:
        self._reporter = reporter
        self._plan = plan
        self._metrics_file = metrics_file
        self._reported_at = 0.0

    @property
    def stop_requested(self) -> bool:
        return self._reporter.stop_requested

    def step_done(self, state: RunState, learning_rate: float, grad_norm: float, log: bool) -> None:
        """Report the step that was just taken; `log` also closes the window that the loss is averaged over."""
        metrics = {
            "loss": state.window.loss,
            "learning_rate": learning_rate,
            "grad_norm": grad_norm,
            "tokens_per_second": state.window.tokens_per_second,
            "epoch": self._plan.epoch_of(state.step),
        }
        if log:
            self._append(state.step, metrics)
        if log or self._silent_for_a_while():
            self._report("training", state, self._describe(state, metrics), metrics)

    def within_step(self, state: RunState, done: int, total: int) -> None:
        """A single step of a large model may take minutes; show that it moves."""
        if self._silent_for_a_while():
            working_on = f"step {state.step + 1}/{self._plan.total_steps}, {done}/{total} micro-batches done"
            self._report("training", state, working_on)

    def evaluating(self, state: RunState, done: int, total: int) -> None:
        if self._silent_for_a_while():
            self._report("evaluating", state, f"validation batch {done}/{total}")

    def evaluated(self, state: RunState, validation_loss: float) -> None:
        metrics = {"validation_loss": validation_loss}
        self._append(state.step, metrics)
        self._report("evaluating", state, self._describe(state, metrics), metrics)

    def saving(self, state: RunState) -> None:
        self._report("saving", state, "writing the adapter")

    def _describe(self, state: RunState, metrics: dict[str, float]) -> str:
        epoch = math.ceil(self._plan.epoch_of(state.step))
        parts = [f"epoch {epoch}/{math.ceil(self._plan.total_epochs)}", f"step {state.step}/{self._plan.total_steps}"]
        if "loss" in metrics:
            parts.append(f"loss {metrics['loss']:.3f}")
        if state.validation is not None:
            parts.append(f"val {state.validation.last:.3f}")
        if "tokens_per_second" in metrics:
            parts.append(f"{metrics['tokens_per_second']:.0f} tok/s")
        return " · ".join(parts)

    def _silent_for_a_while(self) -> bool:
        return time.monotonic() - self._reported_at >= REPORT_SECONDS

    def _report(self, phase: str, state: RunState, message: str, metrics: dict[str, float] | None = None) -> None:
        self._reporter.progress(phase, state.step, self._plan.total_steps, message, metrics)
        self._reported_at = time.monotonic()

    def _append(self, step: int, metrics: dict[str, float]) -> None:
        with self._metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | metrics) + "\n")
