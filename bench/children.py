"""Runs contenders as child processes on one thread, measured from outside, and makes the environment of the peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "bench"

OUR_PYTHON = ROOT / ".venv" / "bin" / "python"
OUR_PROGRAMS = ROOT / "bench" / "ours"
PEER_PROGRAMS = ROOT / "bench" / "peers"

# Figures of one thread compare code; those of many compare how busy the other cores were.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class BenchmarkFailed(Exception):
    """A stage has no result; the message says why."""


@dataclass(frozen=True)
class ChildRun:
    """A whole process, start-up included, with the children that it waited for."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str

    @property
    def number(self) -> float:
        """The one JSON number that every contender prints as its last line."""
        return float(json.loads(self.output.splitlines()[-1]))


def run_child(*command: str | Path) -> ChildRun:
    # The peak memory of a child counts from before its exec, when it still is a copy of this process. So nothing here
    # imports more than the standard library, and whatever needs more (making inputs, comparing files) is a child, too.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=os.environ | ONE_THREAD
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        printed = _content(output)
        if process.returncode:
            tail = "\n".join((printed + _content(errors)).splitlines()[-15:])
            raise BenchmarkFailed(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{tail}")
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return ChildRun(seconds, usage.ru_utime + usage.ru_stime, peak_bytes / 2**20, printed)


def peer_python(requirements_file: str = "requirements.txt") -> Path:
    """The interpreter of the peers' own environment: made on first use, and anew when their requirements change."""
    requirements = ROOT / "bench" / requirements_file
    environment = CACHE / requirements.stem.replace("requirements", "venv")
    made_from = environment / "requirements.txt"
    python = environment / "bin" / "python"
    if not made_from.exists() or made_from.read_text("utf-8") != requirements.read_text("utf-8"):
        _run_live("making the peers' environment", sys.executable, "-m", "venv", "--clear", environment)
        _run_live("installing the peers, once", python, "-m", "pip", "install", "-r", requirements)
        made_from.write_text(requirements.read_text("utf-8"), "utf-8")
    return python


def download_source(requirement: str, folder: Path) -> Path:
    """The source archive of a package, from wherever pip gets its packages."""
    package = requirement.partition("==")[0]
    pip = (OUR_PYTHON, "-m", "pip", "download", "--no-deps", "--no-binary", package)
    _run_live(f"downloading {requirement}", *pip, "--dest", folder, requirement)
    (archive,) = folder.glob("*.tar.gz")
    return archive


def _run_live(label: str, *command: str | Path) -> None:
    live: Sequence[str | Path] = (OUR_PYTHON, ROOT / "scripts" / "live.py", label, "--", *command)
    if subprocess.run(live).returncode:
        raise BenchmarkFailed(f"{label} failed: see above")


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
