"""How long a checkpoint of transformers' Trainer keeps the next step waiting: `save_checkpoint.py DIRECTORY SAVES` prints
the median in milliseconds.

Adapter, optimizer, scheduler, random-number generators and its own state, as its `save_steps` writes them.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_DISABLED": "true"}

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main() -> None:
    base, saves = Path(sys.argv[1]) / "base", int(sys.argv[2])
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, use_cache=False)
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory(dir=base.parent) as output:
        blocked: list[float] = []

        class Timed(Trainer):
            def _save_checkpoint(self, *arguments: Any, **named: Any) -> None:
                started = time.perf_counter()
                super()._save_checkpoint(*arguments, **named)
                blocked.append(time.perf_counter() - started)

        trainer = Timed(
            get_peft_model(model, lora),
            TrainingArguments(
                output_dir=output,
                max_steps=saves + 1,
                per_device_train_batch_size=1,
                save_steps=1,
                save_total_limit=1,
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
                seed=0,
            ),
            train_dataset=[{"input_ids": [5, 6, 7], "labels": [5, 6, 7]}] * (saves + 1),
        )
        trainer.train()
    print(median(blocked[1:]) * 1000)


main()
