"""LoRA as most people run it: TRL's SFTTrainer or the Trainer of transformers, on rows that are tokenised already.

`fine_tune.py trl|hf ROWS_AT_ONCE fp32|bf16 DIRECTORY` makes one pass in steps of eight rows, the first of which warms
up. Prints what was trained on and then the tokens per CPU-second, padding not counted.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_DISABLED": "true"}

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

ROWS_PER_STEP = 8
IGNORED = -100
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

kind, rows_at_once, precision, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
torch.set_num_threads(1)


class Watch(TrainerCallback):
    """CPU time at the start of each step and at the end, and the losses."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.losses: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.times.append(time.process_time())

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.process_time())

    def on_log(self, *_: Any, **named: Any) -> None:
        if "loss" in named["logs"]:
            self.losses.append(named["logs"]["loss"])


def padded(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """To a multiple of eight, as DataCollatorForSeq2Seq is usually told to."""
    width = (max(len(row["input_ids"]) for row in rows) + 7) // 8 * 8

    def column(name: str, filler: int) -> torch.Tensor:
        return torch.tensor([row[name] + [filler] * (width - len(row[name])) for row in rows])

    mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows])
    return {"input_ids": column("input_ids", 0), "labels": column("labels", IGNORED), "attention_mask": mask}


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [
        {"input_ids": row["tokens"], "labels": [IGNORED] * row["prompt"] + row["tokens"][row["prompt"] :]}
        for row in json.loads(path.read_text("utf-8"))
    ]


def make_trainer(output: str, watch: Watch) -> Trainer:
    # The Trainers' own mixed precision: weights in fp32, autocast to bf16. Loading the base in bf16 is slower on a CPU.
    model: Any = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32, use_cache=False)
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
    rows = rows_of(folder / "rows.json")
    arguments: dict[str, Any] = {
        "output_dir": output,
        "per_device_train_batch_size": rows_at_once,
        "gradient_accumulation_steps": ROWS_PER_STEP // rows_at_once,
        "num_train_epochs": 1,
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": precision == "bf16",
        "disable_tqdm": True,
        "seed": 0,
    }
    if kind == "hf":
        model = get_peft_model(model, lora)
        return Trainer(
            model,
            TrainingArguments(**arguments),
            train_dataset=rows,
            data_collator=padded,
            callbacks=[watch],
        )
    from datasets import Dataset  # type: ignore[import-not-found]  # only the peers' environment has it
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    # The rows are tokenised; the trainer only asks for the ids of the special tokens.
    words = Tokenizer(models.WordLevel({"<pad>": 0, "<s>": 1, "</s>": 2}, unk_token="<pad>"))
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<pad>"}
    return SFTTrainer(
        model,
        args=SFTConfig(**arguments),
        train_dataset=Dataset.from_list(rows),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=words, **names),
        peft_config=lora,
        callbacks=[watch],
    )


def main() -> None:
    watch = Watch()
    with tempfile.TemporaryDirectory() as output:
        trainer = make_trainer(output, watch)
        micro_batches: list[tuple[int, int]] = []
        training_step = trainer.training_step

        def counted_step(model: Any, inputs: dict[str, torch.Tensor], *rest: Any, **named: Any) -> torch.Tensor:
            supervised = int((inputs["labels"] != IGNORED).sum())
            tokens = int(inputs["attention_mask"].sum())
            micro_batches.append((tokens, supervised))
            return training_step(model, inputs, *rest, **named)

        trainer.training_step = counted_step  # type: ignore[method-assign]
        trainer.train()
    tokens, supervised = (sum(column) for column in zip(*micro_batches, strict=True))
    print(json.dumps({"tokens": tokens, "supervised": supervised, "loss": sum(watch.losses) / len(watch.losses)}))
    warm_up = ROWS_PER_STEP // rows_at_once
    print(sum(tokens for tokens, _ in micro_batches[warm_up:]) / (watch.times[-1] - watch.times[1]))


main()
