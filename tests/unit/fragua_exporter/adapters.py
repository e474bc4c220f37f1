"""Makes random LoRA adapters that change a tiny base visibly, as PEFT saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

ALL_PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_adapter(base: Path, directory: Path, seed: int = 0, **settings: Any) -> Path:
    torch.manual_seed(seed)
    targets = settings.pop("target_modules", ALL_PROJECTIONS)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM", **settings)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # PEFT starts with B = 0: without this the adapter would change nothing.
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(str(directory), save_embedding_layers=False)
    return directory
