"""Weighs the choices by lm-evaluation-harness, one request for each of them: `choose.py DIRECTORY RESULTS`.

Batches of eight, everything else as HFLM has it. Writes the log-likelihoods to RESULTS; prints questions per CPU-second,
without loading.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

import torch
from lm_eval.api.instance import Instance  # type: ignore[import-not-found]  # only the peers' environment has it
from lm_eval.models.huggingface import HFLM  # type: ignore[import-not-found]

folder, results = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
model: Any = HFLM(str(folder / "base"), device="cpu", dtype="float32", batch_size=8)
questions: list[dict[str, Any]] = json.loads((folder / "questions.json").read_text("utf-8"))


def weigh(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    requests = []
    for place, row in enumerate(rows):
        prompt = model.apply_chat_template([{"role": "user", "content": row["question"]}])
        requests += [
            Instance(request_type="loglikelihood", doc={}, arguments=(prompt, choice), idx=place)
            for choice in row["choices"]
        ]
    weights = iter(model.loglikelihood(requests, disable_tqdm=True))
    return {str(place): [next(weights)[0] for _ in row["choices"]] for place, row in enumerate(rows)}


weigh([{"question": "w1000", "choices": ["w1001", "w1002"]}])
started = time.process_time()
found = weigh(questions)
seconds = time.process_time() - started
results.write_text(json.dumps(found), "utf-8")
print(len(questions) / seconds)
