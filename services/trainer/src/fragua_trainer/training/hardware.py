"""What the run computes on: the device, the number format of the base, and a description for training_info.json."""

from __future__ import annotations

import platform
import resource
import sys
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from fragua_trainer.domain.training_spec import Precision
from fragua_trainer.training.ranks import ALONE, Ranks

SMALL_BASE_BYTES = 1 << 30
"""Below this size of the weight files a CPU stays with fp32: conversions cost what the shorter numbers save."""


def choose_device(ranks: Ranks = ALONE) -> torch.device:
    return torch.device("cuda", ranks.local) if torch.cuda.is_available() else torch.device("cpu")


def choose_precision(asked: Precision, device: torch.device, base: Path) -> Precision:
    """`auto` is bf16 where the hardware computes it natively and the base is large enough to gain from it."""
    if asked is not Precision.AUTO:
        return asked
    weight_bytes = sum(file.stat().st_size for file in base.glob("*.safetensors"))
    large_enough = device.type == "cuda" or weight_bytes >= SMALL_BASE_BYTES
    return Precision.BF16 if computes_bf16(device) and large_enough else Precision.FP32


def computes_bf16(device: torch.device) -> bool:
    """Whether it has instructions for that."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def weights_type(precision: Precision) -> torch.dtype:
    return torch.bfloat16 if precision is Precision.BF16 else torch.float32


def is_out_of_memory(error: BaseException) -> bool:
    """Torch has a class for this on a GPU only; on a CPU it is a text."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def describe(device: torch.device) -> dict[str, Any]:
    capabilities = torch.cpu.get_capabilities()
    described = {
        "platform": platform.platform(),
        "cpu": capabilities.get("cpu_name") or platform.processor(),
        "cpu_cores": capabilities.get("num_physical_cores"),
        "threads": torch.get_num_threads(),
        "device": device.type,
    }
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        described |= {"gpu": gpu.name, "gpu_memory_bytes": gpu.total_memory}
    return described


def peak_memory(device: torch.device) -> dict[str, int]:
    """The most that this process has held, in bytes."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = {"process_bytes": resident if sys.platform == "darwin" else resident * 1024}
    if device.type == "cuda":
        peak["gpu_bytes"] = torch.cuda.max_memory_allocated(device)
    return peak


def available_memory(device: torch.device) -> int:
    """Bytes that this process can still take: of the GPU, or of the machine and its container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = psutil.virtual_memory().available
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and (most := limit.read_text().strip()).isdecimal():
        available = min(available, int(most) - int(used.read_text()))
    return int(available)
