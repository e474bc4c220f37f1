"""Files on their way to a service and back, with their progress shown in bytes."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from fragua.common.v1 import artifact_pb2
from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as dataset_calls
from fragua.evaluator.v1 import evaluator_service_pb2 as evaluator_calls
from fragua.exporter.v1 import exporter_service_pb2 as exporter_calls
from fragua.trainer.v1 import trainer_pb2
from fragua.trainer.v1 import trainer_service_pb2 as trainer_calls
from fragua_cli.output import Output
from fragua_cli.suite import Suite
from fragua_platform.errors import Corrupted, InvalidInput, NotFound, Unavailable

CHUNK_BYTES: Final = 512 * 1024

MODEL_FILES: Final = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
"""What a base model needs; pickles, READMEs and other formats of the same weights stay behind."""


class Advance(Protocol):
    def __call__(self, count: int, total: int | None = None, /) -> None:
        """So many bytes more are there, of `total` where that is known only now."""
        ...


async def upload_dataset(
    suite: Suite, output: Output, file: Path, header: dataset_calls.ImportDatasetHeader
) -> dataset_pb2.DatasetVersion:
    """Send a file; where the connection breaks the upload goes on by itself, from the byte where it stopped."""
    header.filename = file.name
    header.size_bytes = file.stat().st_size
    header.sha256 = await asyncio.to_thread(sha256_of, file)
    header.resumable = True

    async def messages(advance: Advance) -> AsyncIterator[dataset_calls.ImportDatasetRequest]:
        yield dataset_calls.ImportDatasetRequest(header=header)
        async for chunk in _chunks(file, header.offset):
            yield dataset_calls.ImportDatasetRequest(chunk=chunk)
            advance(len(chunk))

    async def go_on(offset: int) -> dataset_pb2.DatasetVersion | None:
        header.offset = offset
        with transfer_bar(output, f"uploading {file.name}", header.size_bytes, done=offset) as advance:
            try:
                return await suite.dataset.ImportDataset(messages(advance))
            except Unavailable:
                if await _received(suite, header) == offset:
                    raise
                return None  # something came: that is progress, so patience starts anew

    try:
        version = None
        while version is None:
            offset = await suite.persist(partial(_received, suite, header))
            version = await suite.persist(partial(go_on, offset))
        return version
    except (Unavailable, asyncio.CancelledError):
        output.notice(f"With --request-id {header.request_id} the same command goes on where it stopped, for a day.")
        raise


async def _received(suite: Suite, header: dataset_calls.ImportDatasetHeader) -> int:
    """How much of a file arrived in streams before."""
    request = dataset_calls.GetUploadRequest(parent=header.parent, request_id=header.request_id)
    try:
        return (await suite.dataset.GetUpload(request)).received_bytes
    except NotFound:
        return 0


async def upload_base_model(suite: Suite, output: Output, source: Path, model: str) -> trainer_pb2.BaseModel:
    """Send a model folder, or one GGUF file, which the service turns into safetensors."""
    files = [source] if source.is_file() else _model_files(source)
    if not files or (source.is_file() and source.suffix != ".gguf"):
        raise InvalidInput(
            f"{source} holds no model: expected a folder with config.json, tokenizer.json and *.safetensors, or a .gguf file"
        )
    announced = [
        trainer_calls.BaseModelFile(
            path=file.name, size_bytes=file.stat().st_size, sha256=await asyncio.to_thread(sha256_of, file)
        )
        for file in files
    ]

    async def messages(advance: Advance) -> AsyncIterator[trainer_calls.ImportBaseModelRequest]:
        yield trainer_calls.ImportBaseModelRequest(header=trainer_calls.ImportBaseModelHeader(model_id=model))
        for file, header in zip(files, announced, strict=True):
            yield trainer_calls.ImportBaseModelRequest(file=header)
            async for chunk in _chunks(file):
                yield trainer_calls.ImportBaseModelRequest(chunk=chunk)
                advance(len(chunk))

    async def attempt() -> trainer_pb2.BaseModel:
        total = sum(header.size_bytes for header in announced)
        with transfer_bar(output, f"uploading {len(files)} files of {model}", total) as advance:
            return await suite.trainer.ImportBaseModel(messages(advance))

    return await suite.persist(attempt)


def _model_files(folder: Path) -> list[Path]:
    return sorted({file for pattern in MODEL_FILES for file in folder.glob(pattern) if file.is_file()})


async def mirror_base_model(
    suite: Suite, output: Output, request: trainer_calls.MirrorBaseModelRequest
) -> trainer_pb2.BaseModel:
    """Let the trainer service fetch a model from a hub; what broke off goes on where it was."""

    async def attempt() -> trainer_pb2.BaseModel:
        with transfer_bar(output, f"mirroring {request.hub_id}", 0) as advance:
            received = 0
            async for answer in suite.trainer.MirrorBaseModel(request):
                if answer.HasField("base_model"):
                    return answer.base_model
                advance(answer.received_bytes - received, answer.total_bytes or None)
                received = answer.received_bytes
        raise Unavailable(f"the mirroring of {request.hub_id} ended without a model")

    return await suite.persist(attempt)


async def download_export_file(
    suite: Suite, output: Output, export: str, path: str, artifact: artifact_pb2.Artifact, folder: Path
) -> Path:
    """Fetch one file of an export; `path` is its name within its bundle."""

    def read(offset: int) -> AsyncIterable[Any]:
        return suite.exporter.DownloadExportFile(
            exporter_calls.DownloadExportFileRequest(name=export, file=path, offset=offset)
        )

    return await _download(suite, output, read, artifact, folder / path)


async def download_dataset_file(
    suite: Suite, output: Output, resource: str, path: str, artifact: artifact_pb2.Artifact, folder: Path
) -> Path:
    """Fetch one file of a dataset version or conversion; `path` is its name within its bundle."""

    def read(offset: int) -> AsyncIterable[Any]:
        return suite.dataset.DownloadDatasetFile(
            dataset_calls.DownloadDatasetFileRequest(name=resource, path=path, offset=offset)
        )

    return await _download(suite, output, read, artifact, folder / path)


async def download_evaluation_file(
    suite: Suite, output: Output, evaluation: str, name: str, artifact: artifact_pb2.Artifact, target: Path
) -> Path:
    """Fetch one file of an evaluation; `name` is its name within its bundle."""

    def read(offset: int) -> AsyncIterable[Any]:
        return suite.evaluator.DownloadEvaluationFile(
            evaluator_calls.DownloadEvaluationFileRequest(name=evaluation, file=name, offset=offset)
        )

    return await _download(suite, output, read, artifact, target)


async def upload_outputs(suite: Suite, output: Output, file: Path, parent: str) -> artifact_pb2.Artifact:
    """Send ready-made answers; the same file again is the same object."""
    header = evaluator_calls.UploadOutputsHeader(parent=parent, sha256=await asyncio.to_thread(sha256_of, file))

    async def messages(advance: Advance) -> AsyncIterator[evaluator_calls.UploadOutputsRequest]:
        yield evaluator_calls.UploadOutputsRequest(header=header)
        async for chunk in _chunks(file):
            yield evaluator_calls.UploadOutputsRequest(chunk=chunk)
            advance(len(chunk))

    async def attempt() -> artifact_pb2.Artifact:
        with transfer_bar(output, f"uploading {file.name}", file.stat().st_size) as advance:
            return (await suite.evaluator.UploadOutputs(messages(advance))).outputs

    return await suite.persist(attempt)


def name_in(bundle: artifact_pb2.Bundle, file: artifact_pb2.Artifact) -> str:
    """Name of a file within its bundle; a writer that came second puts its files into a folder beside the first's."""
    name = re.sub(r"^retry-[0-9a-f]{8}/", "", file.key.removeprefix(f"{bundle.prefix}/"))
    if name.startswith("/") or ".." in name.split("/"):
        raise Corrupted(f"{bundle.prefix} has a file {name!r}, which would lie outside of the folder")
    return name


async def _download(
    suite: Suite,
    output: Output,
    read: Callable[[int], AsyncIterable[Any]],
    artifact: artifact_pb2.Artifact,
    target: Path,
) -> Path:
    """A download that broke off goes on where it stopped.

    The file gets its name when its digest is right; until then its bytes are in `<name>.part`.
    """
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and await asyncio.to_thread(sha256_of, target) == artifact.sha256:
        return target
    if part.exists() and part.stat().st_size > artifact.size_bytes:
        part.unlink()

    async def go_on(offset: int) -> None:
        bar = transfer_bar(output, f"downloading {target.name}", artifact.size_bytes, done=offset)
        with bar as advance, part.open("ab") as file:
            try:
                async for answer in read(offset):
                    await asyncio.to_thread(file.write, answer.chunk)
                    advance(len(answer.chunk))
            except Unavailable:
                if file.tell() == offset:  # otherwise something came: that is progress, so patience starts anew
                    raise

    part.touch()
    while (offset := part.stat().st_size) < artifact.size_bytes:
        await suite.persist(partial(go_on, offset))
    if await asyncio.to_thread(sha256_of, part) != artifact.sha256:
        part.unlink()
        raise Corrupted(f"{target.name} arrived with other bytes than it was published with; download it again")
    return part.replace(target)


def sha256_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def transfer_bar(output: Output, label: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """A bar of bytes on a terminal; elsewhere a transfer is quiet, and what follows tells that it ended."""
    if not output.live:
        yield lambda count, total=None: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.console, transient=True) as progress:
        task = progress.add_task(label, total=total, completed=done)
        yield lambda count, total=None: progress.update(task, advance=count, total=total)


async def _chunks(file: Path, offset: int = 0) -> AsyncIterator[bytes]:
    with file.open("rb") as content:
        content.seek(offset)
        while chunk := await asyncio.to_thread(content.read, CHUNK_BYTES):
            yield chunk
