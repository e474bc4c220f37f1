"""How much memory the run holds, and what is told and tried when there is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]
import torch

from fragua_platform.errors import LimitExceeded
from fragua_trainer.domain.training_spec import Quantization, TrainingSpec
from fragua_trainer.training.hardware import choose_device, is_out_of_memory, peak_memory

OUT_OF_MEMORY = "OUT_OF_MEMORY"
SETTINGS_TOLD = 3


def memory_now() -> dict[str, float]:
    """Bytes held at this moment, by the names of the metrics."""
    held = {"memory_bytes": float(psutil.Process().memory_info().rss)}
    if torch.cuda.is_initialized():
        held["gpu_memory_bytes"] = float(torch.cuda.memory_allocated())
    return held


@contextmanager
def out_of_memory_reported(spec: TrainingSpec) -> Iterator[None]:
    """Raise `LimitExceeded` with the measured peak and ways out in place of the allocator's error."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        peak = peak_memory(choose_device())
        measured = f"{peak['process_bytes'] >> 20} MiB"
        if "gpu_bytes" in peak:
            measured += f" and {peak['gpu_bytes'] >> 20} MiB on the GPU"
        raise LimitExceeded(
            f"out of memory: the run held {measured} at its peak and needed more; what would help: "
            f"{'; '.join(settings_that_help(spec))}; the allocator said: {error}",
            reason=OUT_OF_MEMORY,
        ) from error


def settings_that_help(spec: TrainingSpec) -> list[str]:
    """The first few that `spec` leaves room for; what changes the result least comes first."""
    schedule, lora = spec.schedule, spec.lora
    found = []
    if schedule.batch_size > 1:
        found.append(
            f"lower schedule.batch_size from {schedule.batch_size} and raise schedule.gradient_accumulation by the "
            "same factor (the result stays the same)"
        )
    if not schedule.gradient_checkpointing:
        found.append("set schedule.gradient_checkpointing (the result stays the same, steps take longer)")
    if spec.quantization is not Quantization.BNB4:
        found.append("take quantization bnb4")
    found.append(f"lower schedule.max_length from {schedule.max_length} and shorten the rows above it")
    found.append(f"lower lora.rank from {lora.rank}")
    return found[:SETTINGS_TOLD]
