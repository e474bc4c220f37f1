"""The exporter with one worker, on a folder: `python -m tests.export_worker FOLDER NATS_URL MACHINE REQUEST [PHASE]`.

Orders an export (the same one for the same REQUEST) and ends when it has, printing it as JSON. With a PHASE it is killed
by kill -9 as soon as the export gets there. MACHINE names the scratch space: another one knows nothing of what the former
worker left on its disk. What each attempt goes on with is printed as it is heard.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from fragua.common.v1 import job_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua_exporter import work
from fragua_exporter.bootstrap import DEFINITION
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.jobs.attempt import Attempt
from fragua_platform.jobs.records import CheckpointRecord, ProgressRecord
from fragua_platform.runtime import serving, working
from tests.integration.export_site import VERSION, export_site

_ENDED = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)
_dying: set[asyncio.Task[None]] = set()


async def main(folder: Path, nats_url: str, machine: str, request: str, phase: str) -> None:
    watch(phase)
    if phase == "publishing":
        die_while_publishing()
    places = {
        "data_dir": folder / machine,
        "database_url": f"sqlite:///{folder / 'exporter.db'}",
        "artifacts_url": (folder / "artifacts").as_uri(),
        "events_url": nats_url,
        "max_attempts": 20,
        "lease_seconds": 3,
    }
    async with (
        export_site(folder, folder / "base", folder / "adapter", **places) as site,
        serving(DEFINITION, site.settings, site.service, site.resources),
        working(site.settings, site.service, site.resources),
    ):
        ordered = await site.order(
            request,
            quantizations=[exporter_pb2.QUANTIZATION_Q8_0, exporter_pb2.QUANTIZATION_Q6_K],
            merged_model=True,
            adapter_gguf=True,
            importance_dataset=VERSION,
            probe_prompt="¿Qué comió el niño?",
        )
        while (export := await site.get(ordered.name)).status.state not in _ENDED:
            await asyncio.sleep(0.3)
        tell({"export": MessageToDict(export)})


def watch(phase: str) -> None:
    """Hear what the engine says, and die with it in `phase`."""
    hear = Attempt._on_record

    def on_record(self: Attempt, record: ProgressRecord | CheckpointRecord) -> None:
        hear(self, record)
        if not isinstance(record, ProgressRecord):
            return
        if record.phase == "preflight" and record.step:
            tell({"goes_on_with": record.message.partition("goes on with ")[2].split(", ")})
        if record.phase == phase and not _dying:
            assert self._engine._process is not None
            engine = self._engine._process.pid
            # It stands still until what it handed over before has arrived.
            os.killpg(engine, signal.SIGSTOP)
            _dying.add(asyncio.create_task(die(self, engine)))

    Attempt._on_record = on_record  # type: ignore[method-assign]


async def die(attempt: Attempt, engine: int) -> None:
    await attempt._checkpoints.flush()
    os.killpg(engine, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_publishing() -> None:
    async def publish_one_file(store: ArtifactStore, prefix: str, directory: Path, provenance: Any) -> None:
        await store.put_file(f"{prefix}/Modelfile", directory / "Modelfile")
        os.kill(os.getpid(), signal.SIGKILL)

    work.publish_bundle = publish_one_file  # type: ignore[assignment,attr-defined]


def tell(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    folder, url, machine, request, *phase = sys.argv[1:]
    asyncio.run(main(Path(folder), url, machine, request, "".join(phase)))
