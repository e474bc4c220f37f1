"""Says in words when memory has run out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fragua_platform.errors import LimitExceeded


@contextmanager
def out_of_memory_reported(way_out: str) -> Iterator[None]:
    """Torch has a class for this on a GPU only; on a CPU it is a text."""
    try:
        yield
    except MemoryError as error:
        raise LimitExceeded(f"out of memory: {way_out}", reason="OUT_OF_MEMORY") from error
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise LimitExceeded(f"out of memory: {way_out}; the allocator said: {error}", reason="OUT_OF_MEMORY") from error
