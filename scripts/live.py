"""Runs a long command behind one live line: seconds so far and what it is doing now. If it fails, shows its log.

    python scripts/live.py "compiling llama.cpp" -- pip wheel --verbose llama-cpp-python

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

NINJA_STEP = re.compile(r"\[(\d+)/(\d+)\] (.*)")
PIP_STEP = re.compile(r"(Collecting|Downloading|Building|Preparing|Obtaining) \S+")
PIP_LAST_STEP = re.compile(r"Installing collected packages: (.*)")
LINES_SHOWN_ON_FAILURE = 40
SECONDS_BETWEEN_LINES_WITHOUT_A_TERMINAL = 15.0


def describe(line: str) -> str | None:
    """What a line of output says about the progress, or None."""
    if step := NINJA_STEP.search(line):
        done, total = int(step[1]), int(step[2])
        return f"step {done} of {total} ({done / total:.0%})  {step[3].rsplit('/', 1)[-1]}"
    if step := PIP_LAST_STEP.search(line):
        return f"Installing {step[1].count(',') + 1} packages"
    if step := PIP_STEP.search(line):
        return step[0].rsplit("/", 1)[-1]
    return None


class LiveLine:
    """One line that is written over and over on a terminal, and now and then a new one elsewhere."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.state = "starting"
        self.started = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._finished = threading.Event()
        self._painter = threading.Thread(target=self._paint_until_finished, daemon=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def start(self) -> None:
        self._painter.start()

    def finish(self, outcome: str) -> None:
        self._finished.set()
        self._painter.join()
        start = "\r\033[K" if self._terminal else ""
        print(f"{start}{self.label}: {outcome} after {self.seconds:.0f} s", flush=True)

    def _paint_until_finished(self) -> None:
        pause = 0.5 if self._terminal else SECONDS_BETWEEN_LINES_WITHOUT_A_TERMINAL
        while not self._finished.wait(pause):
            text = f"{self.label}: {self.seconds:4.0f} s  {self.state}"
            if self._terminal:
                sys.stdout.write(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}")
                sys.stdout.flush()
            else:
                print(text, flush=True)


def run(label: str, command: list[str]) -> int:
    line = LiveLine(label)
    line.start()
    tail: deque[str] = deque(maxlen=LINES_SHOWN_ON_FAILURE)
    descriptor, log_path = tempfile.mkstemp(prefix="fragua-setup-", suffix=".log")
    with (
        os.fdopen(descriptor, "w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as child,
    ):
        assert child.stdout is not None
        for output in child.stdout:
            log.write(output)
            tail.append(output)
            line.state = describe(output) or line.state
    if child.returncode:
        line.finish("FAILED")
        print(f"{shlex.join(command)}\n{''.join(tail)}The whole log: {log_path}", flush=True)
    else:
        line.finish("done")
        Path(log_path).unlink()
    return child.returncode


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit(__doc__)
    try:
        sys.exit(run(sys.argv[1], sys.argv[3:]))
    except KeyboardInterrupt:
        sys.exit(130)
