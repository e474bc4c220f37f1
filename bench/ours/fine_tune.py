"""LoRA by our engine: its model, its packs, its steps.

`fine_tune.py fp32|bf16 DIRECTORY [ROWS_AT_ONCE]` makes one pass in steps of eight rows, the first of which warms up.
Prints what was trained on and then the tokens per CPU-second, padding not counted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from fragua_trainer.domain.training_spec import LoraSpec, Precision, ScheduleSpec
from fragua_trainer.training.adapter import attach_lora, match_targets
from fragua_trainer.training.batch import IGNORED, Example
from fragua_trainer.training.freed_memory import keep_freed_memory
from fragua_trainer.training.hardware import weights_type
from fragua_trainer.training.loop import take_step
from fragua_trainer.training.run import Run

ROWS_PER_STEP = 8
CPU = torch.device("cpu")


def rows_of(path: Path) -> list[Example]:
    return [
        Example(row["tokens"], [IGNORED] * row["prompt"] + row["tokens"][row["prompt"] :])
        for row in json.loads(path.read_text("utf-8"))
    ]


def start(directory: Path, precision: Precision) -> Run:
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=weights_type(precision), use_cache=False)
    lora = LoraSpec(rank=16, alpha=32, dropout=0.0)
    adapted = attach_lora(model, lora, match_targets(model, lora), 0, "")
    return Run.start(adapted, ScheduleSpec(batch_size=ROWS_PER_STEP), CPU, precision)


def main() -> None:
    precision, folder = Precision(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = rows_of(folder / "rows.json")
    run = start(folder / "base", precision)
    steps = []
    for first in range(0, len(rows), ROWS_PER_STEP):
        if first == ROWS_PER_STEP:
            started = time.process_time()
        steps.append(take_step(run, run.arrange([rows[first : first + ROWS_PER_STEP]]), 1e-4))
    seconds = time.process_time() - started
    tokens, supervised = sum(step.tokens for step in steps), sum(step.supervised_tokens for step in steps)
    print(json.dumps({"tokens": tokens, "supervised": supervised, "loss": sum(s.loss for s in steps) / len(steps)}))
    print(sum(step.tokens for step in steps[1:]) / seconds)


main()
