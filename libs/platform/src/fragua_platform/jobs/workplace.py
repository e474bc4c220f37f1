"""Scratch space, of a worker or of an upload: a folder of its own, and none left behind by processes that were killed."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_workplace(parent: Path) -> Iterator[Path]:
    """A fresh folder below `parent`, removed at the end, or by the next one who asks here if this process is killed.

    The processes of one machine share `parent`. Each holds a lock for as long as it lives, so a free lock means a dead owner.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_what_the_dead_left(parent)
    place = parent / f"worker-{os.getpid()}-{secrets.token_hex(3)}"
    lock = place.with_suffix(".lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _remove_what_the_dead_left(parent: Path) -> None:
    for lock in parent.glob("worker-*.lock"):
        try:
            with lock.open("r+") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
        except (BlockingIOError, FileNotFoundError):
            continue  # its owner lives, or somebody else removes it
