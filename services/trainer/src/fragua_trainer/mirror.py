"""Fetches base models from a hub into the artifact store, once, so that workers need no internet."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fragua_platform.errors import InvalidInput, LimitExceeded, Unavailable, Violation
from fragua_trainer.base_models import PICKLES, BaseModels
from fragua_trainer.domain.registry import BaseModel

_WANTED = (".safetensors", ".json", ".jinja", ".model", ".txt")
_POLL_SECONDS = 0.5
_KEPT_SECONDS = 7 * 24 * 3600
"""How long what a fetch left that was broken off waits for the next one to go on."""


@dataclass(frozen=True)
class HubFile:
    path: str
    size: int
    sha256: str
    """Empty where the hub tells none, as for small files."""


@dataclass(frozen=True)
class MirrorStep:
    """How far it is."""

    phase: str
    received_bytes: int
    total_bytes: int


class ModelHub(Protocol):
    """Raises `NotFound`, `InvalidInput` for a gated model, `Unavailable`, `Corrupted`."""

    def files(self, hub_id: str, revision: str, token: str) -> list[HubFile]: ...

    def fetch(self, hub_id: str, revision: str, file: HubFile, token: str, target: Path) -> None:
        """Write the file to `target`; a part of it that is there already is not fetched again."""
        ...


class Mirror:
    def __init__(
        self,
        models: BaseModels,
        hub: ModelHub,
        directory: Path,
        max_bytes: int,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._models = models
        self._hub = hub
        self._directory = directory
        self._max_bytes = max_bytes
        self._environment = environment

    async def fetch(
        self, model_id: str, hub_id: str, revision: str, token_variable: str
    ) -> AsyncIterator[MirrorStep | BaseModel]:
        """Steps, and at last the model. A fetch that broke off goes on where it was when it is asked for again."""
        source = f"hub:{hub_id}@{revision}"
        if known := await self._models.find(model_id, source):
            yield known
            return
        token = self._token(token_variable)
        yield MirrorStep(f"looking at {hub_id}", 0, 0)
        files = _chosen(await asyncio.to_thread(self._hub.files, hub_id, revision, token))
        total = sum(file.size for file in files)
        if total > self._max_bytes:
            limit = f"{self._max_bytes} bytes (FRAGUA_MAX_BASE_MODEL_BYTES)"
            raise LimitExceeded(f"{hub_id} takes {total} bytes, more than the limit of {limit}")
        with _folder_of(self._directory, source) as folder:
            for file in files:
                fetching = asyncio.create_task(
                    asyncio.to_thread(self._hub.fetch, hub_id, revision, file, token, folder / file.path)
                )
                while not (await asyncio.wait([fetching], timeout=_POLL_SECONDS))[0]:
                    yield MirrorStep(f"fetching {file.path}", _received(folder), total)
                await fetching
                yield MirrorStep(f"fetched {file.path}", _received(folder), total)
            yield MirrorStep("publishing", total, total)
            model = await self._models.publish(model_id, folder, source)
            shutil.rmtree(folder)
        yield model

    def _token(self, variable: str) -> str:
        if not variable:
            return ""
        if token := self._environment.get(variable):
            return token
        problem = f"{variable} is not set in the environment of the trainer service"
        raise InvalidInput(problem, violations=[Violation("token_variable", problem)])


def _chosen(files: list[HubFile]) -> list[HubFile]:
    """What a base model consists of: no folders, no pickles, no second form of the weights."""
    chosen = [file for file in files if "/" not in file.path and file.path.endswith(_WANTED)]
    weights = [file for file in chosen if file.path.endswith(".safetensors")]
    if not weights:
        pickled = [file.path for file in files if file.path.endswith(PICKLES)]
        has = f"it has {pickled[0]}, which can hold code" if pickled else "it has none"
        problem = f"the weights must be safetensors, and {has}: take a revision with safetensors"
        raise InvalidInput(problem, violations=[Violation("hub_id", problem)], reason="NO_SAFETENSORS")
    if any(file.path.startswith("model") for file in weights):
        # Mistral's repositories hold the same weights once more, in the shape of its own library.
        chosen = [file for file in chosen if not file.path.startswith("consolidated")]
    return chosen


def _received(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@contextmanager
def _folder_of(parent: Path, source: str) -> Iterator[Path]:
    """The folder where `source` is put together, for one process at a time."""
    parent.mkdir(parents=True, exist_ok=True)
    _forget_old_ones(parent)
    folder = parent / hashlib.sha256(source.encode()).hexdigest()[:16]
    with folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise Unavailable(f"{source} is being fetched already; ask again later") from held
        folder.mkdir(exist_ok=True)
        yield folder


def _forget_old_ones(parent: Path) -> None:
    for folder in parent.iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
