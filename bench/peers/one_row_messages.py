"""The straightforward import: a stream of messages with one row each, written to a file. Prints rows per second.

Messages are plain bytes, which spares the peer what protobuf would cost it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc

SERVICE, METHOD = "bench.Rows", "Import"


async def receive(requests: AsyncIterator[bytes], _context: Any) -> bytes:
    rows = 0
    with tempfile.TemporaryFile() as file:
        async for row in requests:
            file.write(row)
            rows += 1
        file.flush()
    return str(rows).encode()


def serve(ready: Connection) -> None:
    async def run() -> None:
        server = grpc.aio.server()
        handlers = {METHOD: grpc.stream_unary_rpc_method_handler(receive)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        ready.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    asyncio.run(run())


async def send(port: int, rows: list[bytes]) -> float:
    async def messages() -> AsyncIterator[bytes]:
        for row in rows:
            yield row

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        import_rows = channel.stream_unary(f"/{SERVICE}/{METHOD}", bytes, bytes)
        started = time.perf_counter()
        received = await import_rows(messages())
        seconds = time.perf_counter() - started
    if int(received) != len(rows):
        sys.exit(f"{len(rows)} rows were sent, {int(received)} arrived")
    return len(rows) / seconds


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        print(asyncio.run(send(here.recv(), Path(sys.argv[1]).read_bytes().splitlines(keepends=True))))
    finally:
        server.terminate()
        server.join()
