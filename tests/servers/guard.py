"""Kills the servers of a test session that died without cleaning up: its end of our standard input closes with it.

Reads `watch PID` and `forget PID` lines. At end of file whatever is still watched is killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable


def survivors(lines: Iterable[str]) -> set[int]:
    watched: set[int] = set()
    for line in lines:
        verb, pid = line.split()
        if verb == "watch":
            watched.add(int(pid))
        else:
            watched.discard(int(pid))
    return watched


if __name__ == "__main__":
    for survivor in survivors(sys.stdin):
        try:
            os.kill(survivor, signal.SIGKILL)
        except ProcessLookupError:
            continue
