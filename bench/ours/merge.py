"""Merges an adapter into its base and writes the model: `merge.py ours|peft BASE ADAPTER DIRECTORY`.

Prints JSON with the seconds that it took, and by how many MiB it raised the memory of the process at its peak. Imports
are made before. PEFT is measured here and not with the other peers, because it is the suite's own that we must equal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

Merge = Callable[[str, str, str], None]


def ours() -> Merge:
    import torch  # noqa: F401 (would be imported later otherwise)

    from fragua_exporter.conversion.architectures import plan_model
    from fragua_exporter.conversion.checkpoint import open_checkpoint
    from fragua_exporter.conversion.merge import load_adapter
    from fragua_exporter.conversion.merged_model import write_merged_model

    def merge(base: str, adapter: str, directory: str) -> None:
        checkpoint = open_checkpoint(Path(base))
        plan = plan_model(checkpoint)
        names = [tensor.source for tensor in plan.tensors]
        loaded = load_adapter(Path(adapter), plan)
        write_merged_model(checkpoint, loaded, names, Path(directory), on_tensor=lambda done: None)

    return merge


def peft() -> Merge:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, LlamaForCausalLM  # noqa: F401 (would be imported later otherwise)

    def merge(base: str, adapter: str, directory: str) -> None:
        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", local_files_only=True)
        PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(directory)

    return merge


def memory(name: str) -> int:
    """In KiB, as Linux tells it."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    merge = {"ours": ours, "peft": peft}[sys.argv[1]]()
    Path("/proc/self/clear_refs").write_text("5")  # The peak begins anew.
    before, started = memory("VmRSS"), time.perf_counter()
    merge(*sys.argv[2:5])
    print(json.dumps({"seconds": time.perf_counter() - started, "mib": (memory("VmHWM") - before) / 1024}))
