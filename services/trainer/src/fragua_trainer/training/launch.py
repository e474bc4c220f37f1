"""Starts one process for each GPU and stands for all of them: their records are its records, their end is its end.

It sets what torchrun sets, so the ranks are the same under torchrun. torchrun itself is not used by the worker: it ends
with status 1 whatever its ranks ended with, so an interruption would look like a crash, and on SIGTERM it gives ranks
30 seconds, where a step may take minutes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import EXIT_FAILED, EXIT_INTERRUPTED, Interrupted, JobDirectory, Reporter
from fragua_platform.jobs.records import FailureRecord, parse_record

PROCESSES_VARIABLE = "FRAGUA_ENGINE_PROCESSES"
_POLL_SECONDS = 0.05


def processes_wanted() -> int:
    """One for each visible GPU, unless the variable says otherwise; 1 also for a process that is a rank already."""
    if "RANK" in os.environ:
        return 1
    if text := os.environ.get(PROCESSES_VARIABLE, ""):
        if not text.isdecimal() or int(text) < 1:
            raise InvalidInput(f"{PROCESSES_VARIABLE} is {text!r}, expected a number of processes such as 2")
        return int(text)
    # Asked first, because torch takes seconds to import, and most machines have no two GPUs.
    if len(list(Path("/dev").glob("nvidia[0-9]*"))) < 2:
        return 1
    import torch

    return max(torch.cuda.device_count(), 1)


def run_ranks(count: int, threads: int, job: JobDirectory, reporter: Reporter) -> None:
    """Train in `count` processes; ends as they do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "FRAGUA_ENGINE_THREADS": str(max(threads // count, 1)),
    }
    ranks = [_start(number, common, job) for number in range(count)]
    relay = _Relay(reporter)
    readers = [threading.Thread(target=relay.read, args=(rank, number)) for number, rank in enumerate(ranks)]
    for reader in readers:
        reader.start()
    try:
        status = _wait(ranks, reporter)
    finally:
        for rank in ranks:
            rank.kill()
        for reader in readers:
            reader.join()
    if status == EXIT_INTERRUPTED:
        raise Interrupted
    if status < 0:
        # By the same signal: whoever waits for us concludes from it, as that memory ran out.
        if status == -signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    if status:
        sys.exit(EXIT_FAILED)


def _start(number: int, common: dict[str, str], job: JobDirectory) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "fragua_trainer.training", str(job.root)],
        env=common | {"RANK": str(number), "LOCAL_RANK": str(number)},
        stdout=subprocess.PIPE,
    )


def _wait(ranks: list[subprocess.Popen[bytes]], reporter: Reporter) -> int:
    """0 when all ended well; else how the first that did not ended, without waiting for those that wait for it."""
    told_to_stop = False
    while True:
        if reporter.stop_requested and not told_to_stop:
            told_to_stop = True
            for rank in ranks:  # a worker tells the whole group; a person this process alone
                rank.send_signal(signal.SIGTERM)
        statuses = [rank.poll() for rank in ranks]
        failed = next((status for status in statuses if status not in (None, 0, EXIT_INTERRUPTED)), None)
        if failed is not None:
            return failed
        if all(status is not None for status in statuses):
            return max(status or 0 for status in statuses)
        time.sleep(_POLL_SECONDS)


class _Relay:
    """Passes on what rank 0 tells, and of the failures the first: the others follow from it."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._lock = threading.Lock()
        self._failed = False

    def read(self, rank: subprocess.Popen[bytes], number: int) -> None:
        assert rank.stdout is not None
        for line in rank.stdout:
            failure = isinstance(parse_record(line), FailureRecord)
            with self._lock:
                if (failure and not self._failed) or (not failure and number == 0):
                    self._reporter.relay(line.decode(errors="replace").rstrip("\n"))
                self._failed = self._failed or failure
