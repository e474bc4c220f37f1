"""Putting an export into an Ollama server, with the turns, stops and parameters of its own Modelfile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from fragua_exporter.domain.export_spec import Quantization
from fragua_exporter.domain.exported_file import ExportedFile
from fragua_exporter.domain.modelfile import Modelfile, parse_modelfile
from fragua_exporter.domain.publication import Publication, choose_name
from fragua_exporter.work import bundle_of, files_of
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.errors import Corrupted, FailedPrecondition, NotFound
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job

_PROGRESS_SECONDS = 0.25


@dataclass(frozen=True)
class ShownModel:
    """What a server tells about a model that it has."""

    template: str
    system: str


class OllamaServer(Protocol):
    """Every call raises `Unavailable` when the server is away or broke off, and `InvalidInput` when it refuses."""

    async def require_version(self) -> None:
        """Raise `FailedPrecondition` for a server that is too old to be given files."""
        ...

    async def models(self) -> Mapping[str, str]:
        """Digests by name, tag included."""
        ...

    async def has_blob(self, sha256: str) -> bool: ...

    async def send_blob(self, ref: ArtifactRef, content: AsyncIterator[bytes]) -> None:
        """The server checks the digest and keeps nothing of what broke off."""
        ...

    def create(self, name: str, modelfile: Modelfile, sha256: str) -> AsyncIterator[str]:
        """What the server does, step by step; a model of this name is replaced."""
        ...

    async def show(self, name: str) -> ShownModel: ...


class PublicationLog(Protocol):
    async def add(self, publication: Publication) -> None: ...


@dataclass(frozen=True)
class PublishOrder:
    export: str
    model: str
    tag: str
    """Empty: the next free version."""
    quantization: Quantization | None
    """None: the one that the Modelfile runs."""
    dry_run: bool
    replace: bool


@dataclass(frozen=True)
class PublishProgress:
    phase: str
    sent_bytes: int
    total_bytes: int
    publication: Publication | None = None
    """In the last one."""


class Publishing:
    def __init__(self, desk: JobDesk, store: ArtifactStore, ollama: OllamaServer, log: PublicationLog) -> None:
        self._desk = desk
        self._store = store
        self._ollama = ollama
        self._log = log
        self._naming = asyncio.Lock()

    async def publish(self, order: PublishOrder) -> AsyncIterator[PublishProgress]:
        """Interrupted anywhere, it can be run again: blobs that arrived are not sent twice."""
        job = await self._desk.get(order.export)
        modelfile, file, ref = await self._published(job, order.quantization)
        await self._ollama.require_version()
        name = choose_name(order.model, order.tag, await self._ollama.models(), replace=order.replace)
        missing = 0 if await self._ollama.has_blob(ref.sha256) else ref.size
        publication = Publication(order.export, name, file.quantization, "", datetime.now(UTC))
        if order.dry_run:
            phase = f"would send {file.file}" if missing else f"would send nothing, Ollama has {file.file}"
            yield PublishProgress(f"{phase}, and create {name}", 0, missing, publication)
            return
        if missing:
            async for sent in self._send(ref):
                yield PublishProgress(f"sending {file.file}", sent, missing)
        async with self._naming:
            # Chosen again: while the bytes went over, somebody else may have taken the name.
            name = choose_name(order.model, order.tag, await self._ollama.models(), replace=order.replace)
            async for status in self._ollama.create(name, modelfile, ref.sha256):
                yield PublishProgress(f"{name}: {status}", missing, missing)
        digest = await self._check(name, modelfile)
        publication = Publication(order.export, name, file.quantization, digest, datetime.now(UTC))
        await self._log.add(publication)
        yield PublishProgress(f"{name} is ready", missing, missing, publication)

    async def _published(
        self, job: Job, quantization: Quantization | None
    ) -> tuple[Modelfile, ExportedFile, ArtifactRef]:
        bundle = bundle_of(job)
        if bundle is None:
            raise FailedPrecondition(f"{job.name} is {job.state}; it can be published once it is SUCCEEDED")
        files = files_of(job)
        if not files:
            raise FailedPrecondition(f"{job.name} has no GGUF file; export the adapter again with a quantization")
        written = bundle.manifest.file("Modelfile")
        text = (await self._store.get_bytes(written.key, sha256=written.sha256)).decode("utf-8")
        modelfile = parse_modelfile(text)
        for file in files:
            if file.quantization is quantization or (quantization is None and file.file == modelfile.file):
                return replace(modelfile, file=file.file), file, bundle.manifest.file(file.file).ref
        has = ", ".join(file.quantization for file in files)
        raise NotFound(f"{job.name} has no file in {quantization or modelfile.file}; it has {has}")

    async def _send(self, ref: ArtifactRef) -> AsyncIterator[int]:
        """Bytes sent so far, now and then."""
        sent = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal sent
            async for chunk in self._store.read(ref):
                yield chunk
                sent += len(chunk)

        upload = asyncio.create_task(self._ollama.send_blob(ref, counted()))
        try:
            while not upload.done():
                yield sent
                await asyncio.wait({upload}, timeout=_PROGRESS_SECONDS)
            await upload
            yield sent
        finally:
            upload.cancel()
            with suppress(asyncio.CancelledError, Exception):  # Its error came out above, unless we were cancelled.
                await upload

    async def _check(self, name: str, modelfile: Modelfile) -> str:
        """The digest by which the server knows the model, once it shows what it was given."""
        shown = await self._ollama.show(name)
        for what, there, given in (
            ("TEMPLATE", shown.template, modelfile.template),
            ("SYSTEM", shown.system, modelfile.system),
        ):
            if there != given:
                raise Corrupted(
                    f"Ollama shows another {what} for {name} than it was given, so the model would be asked otherwise "
                    f"than in training; `ollama rm {name}`, and use another version of Ollama"
                )
        listed = {known.lower(): digest for known, digest in (await self._ollama.models()).items()}
        digest = listed.get(name.lower())
        if digest is None:
            raise Corrupted(f"Ollama says that it created {name}, but does not list it; publish it again")
        return digest
