"""The child's side of a job: how an engine reads its job directory, reports progress and is told to stop.

An engine is a plain program: `python -m fragua_trainer.training JOB_DIR`. It knows no NATS, gRPC, SQL or S3.

    JOB_DIR/spec.json      what to do
    JOB_DIR/inputs/        verified input files; `inputs/checkpoint/` is there when a former attempt left one
    JOB_DIR/outputs/       what the job publishes
    JOB_DIR/checkpoints/   what a later attempt can resume from

Standard output carries one JSON object per line, nothing else; whatever a library prints lands on stderr:

    {"record": "progress", "phase": "training", "step": 3, "total": 90, "message": "...", "metrics": {"loss": 2.1}}
    {"record": "checkpoint", "step": 50, "directory": "checkpoints/step-50"}
    {"record": "failure", "failure_class": "USER_DATA", "reason": "…", "message": "…", "violations": [], "retry": false}

Exit status: 0 done, 1 failed (a failure record tells why), 75 interrupted by SIGTERM with its state saved.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

from fragua_platform.errors import FraguaError, InvalidInput, LimitExceeded, Unavailable

EXIT_FAILED = 1
EXIT_INTERRUPTED = 75
"""EX_TEMPFAIL of sysexits.h: stopped on request, try again later."""

THREADS_VARIABLE = "FRAGUA_ENGINE_THREADS"

LIFELINE_VARIABLE = "FRAGUA_ENGINE_LIFELINE"
"""Set by a worker that keeps our stdin open for as long as it lives; end of file means that it died."""


class Interrupted(BaseException):
    """The engine saved what it could after `stop_requested` and gives the job back.

    A BaseException, so that no `except Exception` of a library on the way swallows it.
    """


@dataclass(frozen=True)
class JobDirectory:
    root: Path

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def resume_from(self) -> Path | None:
        """The checkpoint that a former attempt left, if there is one."""
        directory = self.inputs / "checkpoint"
        return directory if directory.is_dir() else None

    def read_spec(self) -> dict[str, Any]:
        path = self.root / "spec.json"
        try:
            spec = json.loads(path.read_text("utf-8"))
        except FileNotFoundError as missing:
            raise InvalidInput(f"{path} does not exist: a job directory holds spec.json and inputs/") from missing
        except (ValueError, RecursionError) as broken:  # Brackets in brackets without end are the latter.
            raise InvalidInput(f"{path} is not JSON: {broken}") from broken
        if not isinstance(spec, dict):
            raise InvalidInput(f"{path} holds {type(spec).__name__}, expected an object")
        return spec


class Reporter:
    """Writes records to the worker (or to the person who runs the engine by hand)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @property
    def stop_requested(self) -> bool:
        """True after SIGTERM: save a checkpoint at the next safe point and raise `Interrupted`."""
        return self._stop.is_set()

    def request_stop(self) -> None:
        self._stop.set()

    def progress(
        self,
        phase: str,
        step: int,
        total: int,
        message: str = "",
        metrics: dict[str, float] | None = None,
    ) -> None:
        """`total` is 0 while it is unknown. `metrics` are measured values of this very step."""
        record = {"phase": phase, "step": step, "total": total, "message": message}
        self._write("progress", record | ({"metrics": metrics} if metrics else {}))

    def checkpoint(self, step: int, directory: Path, root: Path) -> None:
        """Tell that `directory` is complete (renamed into place) and may be uploaded."""
        self._write("checkpoint", {"step": step, "directory": str(directory.relative_to(root))})

    def failure(self, error: FraguaError) -> None:
        violations = [{"field": v.field, "description": v.description} for v in error.violations]
        self._write(
            "failure",
            {
                "failure_class": error.failure_class.value,
                "reason": error.reason,
                "message": error.message,
                "violations": violations,
                "retry": isinstance(error, Unavailable),
            },
        )

    def relay(self, line: str) -> None:
        """Pass on a record that a process of this engine wrote."""
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _write(self, kind: str, fields: dict[str, Any]) -> None:
        self.relay(json.dumps({"record": kind} | fields, ensure_ascii=False))


def run_engine(engine: Callable[[JobDirectory, Reporter], None], arguments: list[str] | None = None) -> NoReturn:
    """Run `engine` on the job directory named on the command line and exit with the status of the contract."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.exit("usage: python -m <engine> JOB_DIR   (a folder with spec.json and inputs/)")
    job = JobDirectory(Path(arguments[0]).resolve())
    reporter = Reporter(_claim_standard_output())
    signal.signal(signal.SIGTERM, lambda _signal, _frame: reporter.request_stop())
    _follow_lifeline()
    job.outputs.mkdir(parents=True, exist_ok=True)
    job.checkpoints.mkdir(exist_ok=True)
    sys.exit(_exit_status(engine, job, reporter))


def prepare_libraries() -> int:
    """Set what torch and its kin read while they are imported, so call it first; returns the threads to compute on."""
    threads = _threads(os.environ.get(THREADS_VARIABLE, ""))
    # Inputs are local files: nothing is ever looked up on a hub.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    # Threads that spin while they wait for each other hold the cores that the others need as soon as anything else
    # runs on the machine: beside other work 60 steps of the demo's training took 79 s, and 6 s with this. On an idle
    # machine it costs a model this small 3.4 -> 5.8 s; a model of use spends its time in longer operations.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return threads


def _threads(text: str) -> int:
    """All of this process's cores unless the variable says otherwise."""
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInput(f"{THREADS_VARIABLE} is {text!r}, expected a number of threads such as 4")
    return int(text)


def _exit_status(engine: Callable[[JobDirectory, Reporter], None], job: JobDirectory, reporter: Reporter) -> int:
    try:
        engine(job, reporter)
    except Interrupted:
        return EXIT_INTERRUPTED
    except FraguaError as error:
        reporter.failure(error)
        return EXIT_FAILED
    except MemoryError:
        reporter.failure(LimitExceeded("the engine ran out of memory", reason="OUT_OF_MEMORY"))
        return EXIT_FAILED
    except Exception as error:
        traceback.print_exc()
        reporter.failure(_disk_full(job.root) if _is_disk_full(error) else _defect(error))
        return EXIT_FAILED
    return 0


def _is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _disk_full(directory: Path) -> FraguaError:
    return LimitExceeded(f"no space left below {directory}: give the worker more disk", reason="DISK_FULL")


def _defect(error: Exception) -> FraguaError:
    return FraguaError(f"{type(error).__name__}: {error}", reason="ENGINE_DEFECT")


def _claim_standard_output() -> TextIO:
    """Keep fd 1 for records: libraries that print, native ones too, reach stderr instead."""
    records = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return records


def _follow_lifeline() -> None:
    """Die with the worker: after kill -9 of the worker no orphan goes on computing beside its successor."""
    if LIFELINE_VARIABLE not in os.environ:
        return

    def wait_for_end_of_file() -> None:
        while os.read(0, 4096):
            pass
        # The whole group: what the engine started must not go on either. The worker made it a group of its own.
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait_for_end_of_file, name="lifeline", daemon=True).start()
