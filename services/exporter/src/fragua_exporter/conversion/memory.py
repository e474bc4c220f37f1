"""How much memory the proof of an export takes, and how much there is."""

from __future__ import annotations

import math
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_platform.errors import LimitExceeded

_GROUP = Path("/sys/fs/cgroup")
_REFERENCE_BYTES = 4
"""A parameter of the reference, which runs in 32 bits. What llama.cpp runs beside it is mapped from its file."""


def check_memory(plan: ModelPlan) -> None:
    """Raise LimitExceeded where the kernel would end the engine when the reference is loaded."""
    needed = _REFERENCE_BYTES * sum(math.prod(tensor.shape) for tensor in plan.tensors)
    available = available_memory()
    if needed > available:
        raise LimitExceeded(
            f"to run the model in 32 bits, which every file is compared with, takes {needed / 1e9:.1f} GB of memory and "
            f"{available / 1e9:.1f} GB are free; give the worker more",
            reason="OUT_OF_MEMORY",
        )


def available_memory(group: Path = _GROUP) -> int:
    """Bytes that this process can still take, of the machine and of its container."""
    available = int(psutil.virtual_memory().available)
    limit = group / "memory.max"
    if limit.is_file() and (most := limit.read_text().strip()).isdecimal():
        # What the container has read from files counts as used, and goes when the memory is needed.
        files = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / "memory.current").read_text()) - int(files.get("inactive_file", 0))
        available = min(available, max(0, int(most) - used))
    return available
