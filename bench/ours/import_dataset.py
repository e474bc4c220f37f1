"""Sends a file to the dataset service of another process until its answer says that it is safe. Prints rows per second.

The service runs as `fragua up` runs it, on SQLite and a local folder, but without a worker: what is measured ends where
the validation, which has a stage of its own, begins.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path

from fragua.dataset.v1 import dataset_service_pb2, dataset_service_pb2_grpc
from fragua_dataset.bootstrap import DEFINITION
from fragua_dataset.settings import DatasetSettings
from fragua_platform.events.memory import MemoryEventBus
from fragua_platform.grpc.client import open_channel
from fragua_platform.logging import configure_logging
from fragua_platform.runtime import open_resources, serving, until_signalled

CHUNK = 512 * 1024


def serve(ready: Connection, data_dir: Path) -> None:
    async def run() -> None:
        settings = DatasetSettings.load(
            data_dir=data_dir,
            database_url=f"sqlite:///{data_dir / 'dataset.db'}",
            artifacts_url=(data_dir / "artifacts").as_uri(),
            events_url="memory://",
            port=0,
            metrics_port=0,
        )
        async with (
            until_signalled() as stop,
            open_resources(DEFINITION, settings, bus=MemoryEventBus()) as resources,
            serving(DEFINITION, settings, DEFINITION.build(settings, resources), resources) as server,
        ):
            ready.send(server.target)
            await stop.wait()

    configure_logging("bench", "WARNING", "console")
    asyncio.run(run())


async def send(target: str, content: bytes) -> float:
    header = dataset_service_pb2.ImportDatasetHeader(
        parent="branches/bench/datasets/rows",
        request_id="bench",
        filename="rows.jsonl",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )

    async def messages() -> AsyncIterator[dataset_service_pb2.ImportDatasetRequest]:
        yield dataset_service_pb2.ImportDatasetRequest(header=header)
        for start in range(0, len(content), CHUNK):
            yield dataset_service_pb2.ImportDatasetRequest(chunk=content[start : start + CHUNK])

    async with open_channel(target) as channel:
        datasets = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        await datasets.CreateBranch(dataset_service_pb2.CreateBranchRequest(branch_id="bench"))
        started = time.perf_counter()
        await datasets.ImportDataset(messages())
        return content.count(b"\n") / (time.perf_counter() - started)


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    source = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        here, there = context.Pipe()
        server = context.Process(target=serve, args=(there, Path(folder)))
        server.start()
        try:
            print(asyncio.run(send(here.recv(), source.read_bytes())))
        finally:
            server.terminate()
            server.join()
