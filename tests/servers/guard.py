"""Cleans up after a test session that died: its end of our standard input closes with it.

Reads `watch PID HOME` and `forget PID` lines. At end of file whatever is still watched is killed, its folder deleted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable


def survivors(lines: Iterable[str]) -> dict[int, str]:
    watched: dict[int, str] = {}
    for line in lines:
        match line.split():
            case ["watch", pid, home]:
                watched[int(pid)] = home
            case ["forget", pid]:
                watched.pop(int(pid), None)
    return watched


if __name__ == "__main__":
    for survivor, folder in survivors(sys.stdin).items():
        with contextlib.suppress(ProcessLookupError):
            os.kill(survivor, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
