"""Writes a random LoRA adapter for all projections of a Llama, as PEFT saves it: `make_adapter.py BASE DIRECTORY`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

RANK = 16
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def write_adapter(base: Path, directory: Path) -> None:
    directory.mkdir()
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": PROJECTIONS,
    }
    (directory / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    generator = torch.Generator().manual_seed(11)
    tensors = {}
    with safe_open(base / "model.safetensors", framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 (this is no mapping)
            module = name.removesuffix(".weight")
            if module.rpartition(".")[2] in PROJECTIONS:
                rows, columns = weights.get_slice(name).get_shape()
                prefix = f"base_model.model.{module}"
                tensors[f"{prefix}.lora_A.weight"] = torch.randn(RANK, columns, generator=generator) * 0.02
                tensors[f"{prefix}.lora_B.weight"] = torch.randn(rows, RANK, generator=generator) * 0.02
    save_file(tensors, directory / "adapter_model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    write_adapter(Path(sys.argv[1]), Path(sys.argv[2]))
