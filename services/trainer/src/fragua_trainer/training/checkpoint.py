"""Saves a run so that another process goes on exactly where it stopped, and restores it.

A checkpoint is a folder: `tensors.safetensors` (adapter, optimizer, random-number generators), `metrics.jsonl` as it was
at that step, and `state.json` (the step, the losses so far, what the run was asked to do, digests of the two other
files). No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fragua_platform.errors import Corrupted, InvalidInput, Violation
from fragua_platform.jobs.engine import JobDirectory, Reporter
from fragua_trainer.training.adapter import trainable_parameters
from fragua_trainer.training.optimizers import optimizer_tensors, restore_optimizer
from fragua_trainer.training.run import Run, RunState

TENSORS_FILE = "tensors.safetensors"
STATE_FILE = "state.json"
OPTIMIZER_PREFIX = "optimizer."


class SavedRun(BaseModel):
    """What `state.json` holds."""

    model_config = ConfigDict(extra="forbid")

    fingerprint: dict[str, Any]
    sha256: dict[str, str]
    """Of the other files of the checkpoint, by name."""
    state: RunState


class Checkpoints:
    """The checkpoints of one run. `fingerprint` is what must be equal for a later attempt to go on from them."""

    def __init__(self, job: JobDirectory, reporter: Reporter, fingerprint: dict[str, Any], metrics_file: Path) -> None:
        self._job = job
        self._reporter = reporter
        self._fingerprint = fingerprint
        self._metrics_file = metrics_file

    def save(self, run: Run) -> None:
        """Write a complete checkpoint under its final name, or nothing under that name; then report it."""
        final = self._job.checkpoints / f"step-{run.state.step}"
        unfinished = self._job.checkpoints / f".unfinished-{run.state.step}"
        for leftover in (unfinished, final):  # of an earlier run by hand in this folder
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir(parents=True)
        save_file(_tensors(run), unfinished / TENSORS_FILE)
        shutil.copyfile(self._metrics_file, unfinished / self._metrics_file.name)
        digests = {path.name: _digest(path) for path in unfinished.iterdir()}
        saved = SavedRun(fingerprint=self._fingerprint, sha256=digests, state=run.state)
        (unfinished / STATE_FILE).write_text(saved.model_dump_json(indent=2), "utf-8")
        for path in (*unfinished.iterdir(), unfinished):
            _sync(path)
        unfinished.rename(final)
        _sync(self._job.checkpoints)
        self._reporter.checkpoint(run.state.step, final, self._job.root)

    def restore(self, run: Run, directory: Path) -> None:
        """Put `run` where the checkpoint in `directory` was taken."""
        try:
            saved = SavedRun.model_validate_json((directory / STATE_FILE).read_bytes())
            self._refuse_other_run(saved.fingerprint)
            for name in (TENSORS_FILE, self._metrics_file.name):
                if _digest(directory / name) != saved.sha256[name]:
                    raise ValueError(f"{name} has changed since it was written")
            _put_tensors(run, load_file(directory / TENSORS_FILE))
            shutil.copyfile(directory / self._metrics_file.name, self._metrics_file)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as damaged:
            raise Corrupted(f"inputs/checkpoint is not a whole checkpoint: {damaged}") from damaged
        run.state = saved.state

    def _refuse_other_run(self, saved: dict[str, Any]) -> None:
        """Going on with other settings or rows would give an adapter that no specification describes."""
        differing = sorted(
            key for key in saved.keys() | self._fingerprint.keys() if saved.get(key) != self._fingerprint.get(key)
        )
        if differing:
            raise InvalidInput(
                f"inputs/checkpoint was saved by another run: {', '.join(differing)} differ; "
                "remove it to start over, or run with what it was saved with",
                violations=[
                    Violation(key, f"is {self._fingerprint.get(key)!r}, in the checkpoint {saved.get(key)!r}")
                    for key in differing
                ],
            )


def _tensors(run: Run) -> dict[str, torch.Tensor]:
    tensors = {f"adapter.{name}": parameter.detach() for name, parameter in trainable_parameters(run.model)}
    tensors |= {f"{OPTIMIZER_PREFIX}{name}": tensor for name, tensor in optimizer_tensors(run.optimizer).items()}
    # Dropout draws from these generators.
    tensors["random.cpu"] = torch.get_rng_state()
    if run.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(run.device)
    return tensors


def _put_tensors(run: Run, tensors: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in trainable_parameters(run.model):
            parameter.copy_(tensors[f"adapter.{name}"])
    kept = {
        key.removeprefix(OPTIMIZER_PREFIX): tensor
        for key, tensor in tensors.items()
        if key.startswith(OPTIMIZER_PREFIX)
    }
    restore_optimizer(run.optimizer, kept)
    torch.set_rng_state(tensors["random.cpu"])
    if run.device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], run.device)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """A rename may outlive a power cut that the bytes behind it do not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
