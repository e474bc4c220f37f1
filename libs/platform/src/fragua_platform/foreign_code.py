"""Runs what a stranger wrote, such as a template that came with a model, within limits of time, memory and output.

A sandbox like Jinja's keeps it away from files and from the interpreter. It does not end a loop in a loop, nor does it
count what is printed.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from fragua_platform.errors import InvalidInput

SECONDS: Final = 10.0
"""Of processor time, whatever else the machine does."""
MEMORY_BYTES: Final = 1 << 30
"""Beside what the process has already."""
MOST_CHARACTERS: Final = 16 << 20

_ADDRESS_SPACE: Final = Path("/proc/self/statm")

Result = TypeVar("Result")


@dataclass(frozen=True)
class ForeignCode:
    """How an error speaks of it."""

    name: str
    way_out: str
    reason: str

    def run(self, call: Callable[[], Result]) -> Result:
        """What `call` returns; raises InvalidInput when it takes too long, too much memory or prints too much.

        In the main thread only, for there alone a signal interrupts Python.
        """
        try:
            with _limited_time(), _limited_memory():
                result = call()
        except _OutOfTimeError:
            raise self._refused(f"did not end within {SECONDS:g} seconds of computing") from None
        except MemoryError:
            raise self._refused(f"takes more than {MEMORY_BYTES >> 20} MiB of memory") from None
        if isinstance(result, str) and len(result) > MOST_CHARACTERS:
            raise self._refused(f"prints {len(result):,} characters, more than {MOST_CHARACTERS:,}")
        return result

    def _refused(self, problem: str) -> InvalidInput:
        return InvalidInput(f"{self.name} {problem}; {self.way_out}", reason=self.reason)


CHAT_TEMPLATE: Final = ForeignCode(
    name="the model's chat template",
    way_out="put the template that the model was published with in its place",
    reason="UNSUPPORTED_CHAT_TEMPLATE",
)


class _OutOfTimeError(BaseException):
    """No `except Exception` on the way swallows it."""


@contextmanager
def _limited_time() -> Iterator[None]:
    former = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)


def _stop(_signal: int, _frame: object) -> None:
    raise _OutOfTimeError


@contextmanager
def _limited_memory() -> Iterator[None]:
    if not _ADDRESS_SPACE.exists():  # Other systems than Linux neither tell nor keep to it.
        yield
        return
    former, highest = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(_ADDRESS_SPACE.read_text("ascii").split()[0]) * resource.getpagesize() + MEMORY_BYTES
    if former != resource.RLIM_INFINITY:
        limit = min(limit, former)
    resource.setrlimit(resource.RLIMIT_AS, (limit, highest))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (former, highest))
