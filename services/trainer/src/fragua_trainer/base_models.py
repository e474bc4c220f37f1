"""Base models on their way into the artifact store: received, checked, published as one bundle."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fragua_platform.artifacts.bundle import publish_bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import EngineFailure, FailureClass, InvalidInput, LimitExceeded, Violation
from fragua_platform.jobs.child import EngineProcess
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.workplace import own_workplace
from fragua_platform.paging import Page, PageRequest
from fragua_trainer.application import ModelRegistry
from fragua_trainer.domain.registry import BaseModel, base_model_prefix

UPLOAD = "upload"
_GGUF_ENGINE = "fragua_trainer.training.gguf"
_MAX_FILES = 256
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


@dataclass(frozen=True)
class FileAnnounced:
    """A file begins; the chunks that follow are its content."""

    path: str
    size: int
    sha256: str


class BaseModels:
    def __init__(
        self, database: Database, registry: ModelRegistry, store: ArtifactStore, directory: Path, max_bytes: int
    ) -> None:
        self._database = database
        self._registry = registry
        self._store = store
        self._directory = directory
        self._max_bytes = max_bytes

    async def receive(self, model_id: str, parts: AsyncIterator[FileAnnounced | bytes]) -> BaseModel:
        """Store a model folder. The same content again gives the same revision."""
        stack = ExitStack()
        folder = await asyncio.to_thread(stack.enter_context, own_workplace(self._directory))
        try:
            files = await self._receive_files(folder, parts)
            if gguf := next((file.path for file in files if file.path.endswith(".gguf")), ""):
                return await self._receive_gguf(model_id, folder, gguf)
            return await self.publish(model_id, folder, UPLOAD)
        finally:
            await asyncio.to_thread(stack.close)

    async def publish(self, model_id: str, folder: Path, source: str, warnings: tuple[str, ...] = ()) -> BaseModel:
        """Store the files of a model folder. The same content again gives the same revision."""
        architecture = await asyncio.to_thread(_check_folder, folder)
        name = f"baseModels/{model_id}/revisions/{await asyncio.to_thread(_revision, folder)}"
        bundle = await publish_bundle(
            self._store, base_model_prefix(name), folder, {"base_model": name, "source": source}
        )
        model = BaseModel(name, architecture, bundle, datetime.now(UTC), source, warnings)
        return await self._database.run(lambda connection: self._registry.add_base_model(connection, model))

    async def find(self, model_id: str, source: str) -> BaseModel | None:
        """The model that was stored from `source` before, if any."""
        return await self._database.run(lambda connection: self._registry.find_base_model(connection, model_id, source))

    async def _receive_gguf(self, model_id: str, folder: Path, file: str) -> BaseModel:
        """Store the weights that the blocks of a GGUF file stand for, with a warning of what that means."""
        job = JobDirectory(folder / "dequantizing")
        job.inputs.mkdir(parents=True)
        (folder / file).rename(job.inputs / file)
        try:
            await EngineProcess(_GGUF_ENGINE, job.root).run(on_record=lambda record: None)
        except EngineFailure as failure:
            if failure.failure_class is not FailureClass.USER_CONFIG:
                raise
            raise _refused("file.path", failure.message) from failure
        warning = (
            f"The weights were dequantized from {file}: they are those of the quantized model in 16 bits, not those that "
            "it was quantized from. An adapter of it fits that model; exported and quantized again it loses a second time."
        )
        return await self.publish(model_id, job.outputs, f"gguf:{file}", (warning,))

    async def get(self, name: str) -> BaseModel:
        return await self._database.run(lambda connection: self._registry.base_model(connection, name))

    async def _receive_files(self, folder: Path, parts: AsyncIterator[FileAnnounced | bytes]) -> list[FileAnnounced]:
        received: list[FileAnnounced] = []
        writer: _FileWriter | None = None
        total = 0
        try:
            async for part in parts:
                if isinstance(part, FileAnnounced):
                    if writer is not None:
                        writer.finish()
                    total += part.size
                    self._check_announcement(part, received, total)
                    received.append(part)
                    writer = _FileWriter(folder / part.path, part)
                elif writer is None:
                    raise _refused("chunk", "came before any file; send a file header first")
                else:
                    await asyncio.to_thread(writer.write, part)
            if writer is not None:
                writer.finish()
        finally:
            if writer is not None:
                writer.close()
        return received

    def _check_announcement(self, file: FileAnnounced, received: list[FileAnnounced], total: int) -> None:
        if file.path in {earlier.path for earlier in received}:
            raise _refused("file.path", f"{file.path!r} was sent twice")
        if file.path.endswith(PICKLES):
            raise _refused("file.path", f"{file.path!r} can hold a pickle, which runs code: send safetensors")
        if len(received) >= _MAX_FILES:
            raise LimitExceeded(f"a base model has at most {_MAX_FILES} files")
        if total > self._max_bytes:
            limit = f"{self._max_bytes} bytes (FRAGUA_MAX_BASE_MODEL_BYTES)"
            raise LimitExceeded(f"the base model is larger than the limit of {limit}")

    async def list(self, page: PageRequest) -> Page[BaseModel]:
        return await self._database.run(lambda connection: self._registry.base_models(connection, page))


class _FileWriter:
    """Writes one announced file and holds it to what was announced."""

    def __init__(self, path: Path, announced: FileAnnounced) -> None:
        self._file: BinaryIO = path.open("xb")
        self._announced = announced
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._announced.size:
            raise _refused("file.size_bytes", f"{self._announced.path!r} is longer than announced")
        self._digest.update(chunk)
        self._file.write(chunk)

    def finish(self) -> None:
        self.close()
        if self._size != self._announced.size:
            expected = self._announced.size
            raise _refused(
                "file.size_bytes", f"{self._announced.path!r}: {self._size} bytes came, {expected} announced"
            )
        if self._digest.hexdigest() != self._announced.sha256:
            raise _refused("file.sha256", f"{self._announced.path!r} arrived with other bytes than announced")

    def close(self) -> None:
        self._file.close()


def _check_folder(folder: Path) -> str:
    """Return the architecture, or raise with everything that is missing."""
    problems = []
    if not any(folder.glob("*.safetensors")):
        problems.append(Violation("files", "no *.safetensors: weights come as safetensors only"))
    if not (folder / "tokenizer.json").exists():
        problems.append(Violation("files", "no tokenizer.json: save the tokenizer with the model"))
    architecture = ""
    try:
        architecture = str(json.loads((folder / "config.json").read_bytes())["model_type"])
    except FileNotFoundError:
        problems.append(Violation("files", "no config.json: save the model with save_pretrained"))
    except (ValueError, RecursionError, KeyError, TypeError):
        problems.append(Violation("files", "config.json is not a model configuration: it names no model_type"))
    if problems:
        raise InvalidInput("not a complete base model", violations=problems, reason="INCOMPLETE_BASE_MODEL")
    return architecture


def _revision(folder: Path) -> str:
    """Derived from the content of all files."""
    lines = []
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()} {path.name}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _refused(field: str, problem: str) -> InvalidInput:
    return InvalidInput(problem, violations=[Violation(field, problem)])
