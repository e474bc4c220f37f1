"""Counts to a number, with checkpoints, and on the way does whatever an engine should not do."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from fragua_platform.errors import InvalidData, InvalidInput, LimitExceeded, Unavailable, Violation
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter, run_engine


def count(job: JobDirectory, reporter: Reporter) -> None:
    spec = job.read_spec()
    (job.root / "pid").write_text(str(os.getpid()))
    first = 0
    if job.resume_from:
        first = int((job.resume_from / "count").read_text())
    for step in range(first + 1, spec["to"] + 1):
        time.sleep(spec["seconds_per_step"])
        if reporter.stop_requested and spec["misbehaviour"] != "ignores SIGTERM":
            save(job, reporter, step - 1)
            raise Interrupted
        misbehave(spec, step, job, reporter)
        reporter.progress("counting", step, spec["to"], f"número {step}", {"value": float(step)})
        if step % spec["checkpoint_every"] == 0:
            save(job, reporter, step)
    report = {"count": spec["to"], "went_on_after": first, "environment": dict(os.environ)}
    (job.outputs / "count.json").write_text(json.dumps(report), "utf-8")


def save(job: JobDirectory, reporter: Reporter, step: int) -> None:
    partial, directory = job.checkpoints / "partial", job.checkpoints / f"step-{step}"
    partial.mkdir(exist_ok=True)
    (partial / "count").write_text(str(step))
    if not directory.exists():
        partial.rename(directory)
    reporter.checkpoint(step, directory, job.root)


def misbehave(spec: dict[str, Any], step: int, job: JobDirectory, reporter: Reporter) -> None:
    if step != spec["at_step"]:
        return
    match spec["misbehaviour"]:
        case "refuses the data":
            raise InvalidData("2 of 3 rows are broken", violations=[Violation("line 1", "señal perdida")])
        case "refuses the request":
            raise InvalidInput("too far to count")
        case "lacks memory":
            raise LimitExceeded("needs 3 GiB, has 2", reason="OUT_OF_MEMORY")
        case "misses something once" if not job.resume_from:
            raise Unavailable("the oracle is away")
        case "has a defect":
            raise RuntimeError("no lo esperaba")
        case "segfaults":
            os.write(2, "últimas palabras: adiós".encode())
            ctypes.string_at(0)
        case "prints garbage and gives up":
            os.write(
                reporter._stream.fileno(),
                b'garbage\n[1]\n"x"\n{"record": "progress"}\n' + b"x" * 3_000_000 + b"\n\xff\xfe",
            )
            os._exit(3)
        case "prints garbage":
            os.write(
                reporter._stream.fileno(),
                b'garbage\n[1]\n{"record": "checkpoint", "step": 1, "directory": "/etc"}\n\xff\xfe\n',
            )
        case "is loud":
            for _ in range(64):
                os.write(2, b"\rprogress " * 6000)
        case "kills itself":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kills itself once" if not job.resume_from:
            time.sleep(1.5)  # the upload of the checkpoint
            os.kill(os.getpid(), signal.SIGKILL)
        case "leaves a child behind":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            os._exit(4)


if __name__ == "__main__":
    run_engine(count)
