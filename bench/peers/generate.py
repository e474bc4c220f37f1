"""Answers the questions by transformers' generate in static batches of eight: `generate.py DIRECTORY RESULTS`.

Prompts of like length share a batch. Writes the words of each answer to RESULTS, cut where the question says; prints
these new tokens per CPU-second, without loading.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH = 8

folder, results = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
tokenizer: Any = AutoTokenizer.from_pretrained(folder / "base", padding_side="left")
model: Any = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)


def answer(rows: list[tuple[str, dict[str, Any]]]) -> dict[str, list[str]]:
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": row["question"]}], tokenize=False, add_generation_prompt=True
        )
        for _, row in rows
    ]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    longest = max(row["new_tokens"] for _, row in rows)
    generated = model.generate(**inputs, max_new_tokens=longest, do_sample=False)
    answers = tokenizer.batch_decode(generated[:, inputs["input_ids"].shape[1] :])
    return {key: text.split()[: row["new_tokens"]] for (key, row), text in zip(rows, answers, strict=True)}


questions: list[dict[str, Any]] = json.loads((folder / "questions.json").read_text("utf-8"))
numbered = sorted(enumerate(questions), key=lambda pair: -len(pair[1]["question"]))
waiting = [(str(place), row) for place, row in numbered]
answer([("", {"question": "w1000", "new_tokens": 2})])
started = time.process_time()
found: dict[str, list[str]] = {}
for start in range(0, len(waiting), BATCH):
    found |= answer(waiting[start : start + BATCH])
seconds = time.process_time() - started
results.write_text(json.dumps(found), "utf-8")
print(sum(row["new_tokens"] for row in questions) / seconds)
