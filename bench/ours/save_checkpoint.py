"""How long a checkpoint of our engine keeps the next step waiting: `save_checkpoint.py DIRECTORY SAVES` prints the median
in milliseconds. What the thread that writes takes from the steps beside it is not in it."""

from __future__ import annotations

import sys
import tempfile
import time
from io import StringIO
from pathlib import Path
from statistics import median

import torch
from transformers import AutoModelForCausalLM

from fragua_platform.jobs.engine import JobDirectory, Reporter
from fragua_trainer.domain.training_spec import LoraSpec, Precision, ScheduleSpec
from fragua_trainer.training.adapter import attach_lora, match_targets
from fragua_trainer.training.batch import Example
from fragua_trainer.training.checkpoint import Checkpoints
from fragua_trainer.training.journal import Journal
from fragua_trainer.training.loop import take_step
from fragua_trainer.training.run import Run

CPU = torch.device("cpu")


def main() -> None:
    base, saves = Path(sys.argv[1]) / "base", int(sys.argv[2])
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, use_cache=False)
    lora = LoraSpec(rank=16, alpha=32, dropout=0.0)
    run = Run.start(
        attach_lora(model, lora, match_targets(model, lora), 0, ""), ScheduleSpec(batch_size=1), CPU, Precision.FP32
    )
    row = Example([5, 6, 7], [5, 6, 7])
    with tempfile.TemporaryDirectory(dir=base.parent) as folder:
        job = JobDirectory(Path(folder))
        job.outputs.mkdir()
        journal = Journal(job.outputs)
        blocked = []
        with Checkpoints(job, Reporter(StringIO()), {}, journal.files, keep=1) as checkpoints:
            # The first one also allocates the memory that all later ones copy into.
            for _ in range(saves + 1):
                take_step(run, run.arrange([[row]]), 1e-4)
                run.state.step += 1
                started = time.perf_counter()
                checkpoints.save(run)
                blocked.append(time.perf_counter() - started)
                # Checkpoints are minutes apart: the next one never waits for this one.
                checkpoints.finish()
    print(median(blocked[1:]) * 1000)


main()
