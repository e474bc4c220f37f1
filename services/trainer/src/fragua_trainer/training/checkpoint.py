"""Saves a run so that another process goes on exactly where it stopped, and restores it.

A checkpoint is a folder: `tensors.safetensors` (adapter, optimizer, random-number generators, the best adapter so far),
the journal's files as they were at that step, and `state.json` (the step, the losses so far, what the run was asked to
do, digests of the other files). The data position and the order of packs follow from the step. No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
BEST_PREFIX = "best."


class SavedRun(BaseModel):
    """What `state.json` holds."""

    model_config = ConfigDict(extra="forbid")

    fingerprint: dict[str, Any]
    sha256: dict[str, str]
    """Of the other files of the checkpoint, by name."""
    state: RunState


@dataclass(frozen=True)
class _Snapshot:
    """A run as it was at one step; training goes on and changes nothing of it."""

    state: RunState
    tensors: dict[str, torch.Tensor]
    lengths: dict[Path, int]
    """Of the journal's files: they only grow, so what they held then are their first bytes."""


class Checkpoints:
    """The checkpoints of one run. `fingerprint` is what must be equal for a later attempt to go on from them.

    `save` only copies the run's state in memory; a thread writes it. Leaving the context waits for that thread.
    """

    def __init__(
        self,
        job: JobDirectory,
        reporter: Reporter,
        fingerprint: dict[str, Any],
        journal: Sequence[Path],
        keep: int | None = None,
    ) -> None:
        """Of those written, the last `keep` stay and the best one; None leaves it to the worker that uploads them."""
        self._job = job
        self._reporter = reporter
        self._fingerprint = fingerprint
        self._journal = journal
        self._keep = keep
        self._kept: list[Path] = []
        self._copies: dict[str, torch.Tensor] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.shutdown(wait=True)

    def save(self, run: Run) -> None:
        """Begin to write a checkpoint; it is reported when it is complete under its final name.

        Waits for the one before where the disk is slower than the steps, and raises what went wrong with it.
        """
        self.finish()
        if not run.ranks.first:
            return  # every rank has the same to save, and goes on from what the first one wrote
        # The former copies are written, so their memory serves again: fresh memory costs more than copying.
        self._copies = _copied(_tensors(run), self._copies)
        lengths = {file: file.stat().st_size for file in self._journal}
        # The best adapter is replaced and never written to: it needs no copy.
        best = {f"{BEST_PREFIX}{name}": tensor for name, tensor in (run.best_adapter or {}).items()}
        snapshot = _Snapshot(run.state.model_copy(deep=True), self._copies | best, lengths)
        self._writing = self._writer.submit(self._write, snapshot)

    def finish(self) -> None:
        """Wait until everything that was saved is complete, or raise why it is not."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _write(self, snapshot: _Snapshot) -> None:
        final = self._job.checkpoints / f"step-{snapshot.state.step}"
        unfinished = self._job.checkpoints / f".unfinished-{snapshot.state.step}"
        for leftover in (unfinished, final):  # of an earlier run by hand in this folder
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir(parents=True)
        save_file(snapshot.tensors, unfinished / TENSORS_FILE)
        for file, length in snapshot.lengths.items():
            with file.open("rb") as grown:
                (unfinished / file.name).write_bytes(grown.read(length))
        digests = {path.name: _digest(path) for path in unfinished.iterdir()}
        saved = SavedRun(fingerprint=self._fingerprint, sha256=digests, state=snapshot.state)
        (unfinished / STATE_FILE).write_text(saved.model_dump_json(indent=2), "utf-8")
        for path in (*unfinished.iterdir(), unfinished):
            _sync(path)
        unfinished.rename(final)
        _sync(self._job.checkpoints)
        self._reporter.checkpoint(snapshot.state.step, final, self._job.root)
        self._remove_old(final, snapshot.state)

    def _remove_old(self, written: Path, state: RunState) -> None:
        self._kept.append(written)
        if self._keep is None:
            return
        best = f"step-{state.best.step}" if state.best else None
        for old in [path for path in self._kept[: -self._keep] if path.name != best]:
            shutil.rmtree(old, ignore_errors=True)
            self._kept.remove(old)

    def restore(self, run: Run, directory: Path) -> None:
        """Put `run` where the checkpoint in `directory` was taken."""
        try:
            saved = SavedRun.model_validate_json((directory / STATE_FILE).read_bytes())
            self._refuse_other_run(saved.fingerprint)
            for name in (TENSORS_FILE, *(file.name for file in self._journal)):
                if _digest(directory / name) != saved.sha256[name]:
                    raise ValueError(f"{name} has changed since it was written")
            _put_tensors(run, load_file(directory / TENSORS_FILE))
            for file in self._journal:
                shutil.copyfile(directory / file.name, file)
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


def _copied(tensors: Mapping[str, torch.Tensor], former: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """In main memory; written over the copies of `former` where these are of the same shape."""
    copies = {}
    for name, tensor in tensors.items():
        copy = former.get(name)
        if copy is None or copy.shape != tensor.shape or copy.dtype != tensor.dtype:
            copy = torch.empty(tensor.shape, dtype=tensor.dtype)
        copies[name] = copy.copy_(tensor)
    return copies


def _put_tensors(run: Run, tensors: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in trainable_parameters(run.model):
            parameter.copy_(tensors[f"adapter.{name}"])
    restore_optimizer(run.optimizer, _named(tensors, OPTIMIZER_PREFIX))
    run.best_adapter = _named(tensors, BEST_PREFIX) or None
    torch.set_rng_state(tensors["random.cpu"])
    if run.device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], run.device)


def _named(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


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
