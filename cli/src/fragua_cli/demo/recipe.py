"""What the demo forges: its data, its base model, and the numbers it trains with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fragua.evaluator.v1 import evaluator_pb2, suite_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua.trainer.v1 import trainer_pb2
from fragua_platform.errors import InvalidInput

BRANCH: Final = "tutor"
DATASET: Final = "facts"
BASE_MODEL: Final = "tiny-base"

VALIDATION_FRACTION: Final = 0.15
SPLIT_SEED: Final = 0
"""The split is by island, so every question about a held-out island is new to the model."""

PROBE: Final = "¿Qué animales viven en Deduña?"
"""Asked of the finished GGUF. This split holds Deduña out; a test makes sure that it stays so."""

MAX_ITEMS: Final = 150
"""Held-out questions that base and tuned model answer."""
SIGNIFICANCE: Final = 0.05
"""The tuned model counts as better when equal models would show this difference more rarely than this."""

QUANTIZATIONS: Final = (exporter_pb2.QUANTIZATION_F16, exporter_pb2.QUANTIZATION_Q8_0)
"""The Modelfile names the first."""


@dataclass(frozen=True)
class Examples:
    """The files that the demo starts from."""

    instructions: Path
    base_model: Path

    def answer_to(self, question: str) -> str:
        """What the data says; the model never sees this row."""
        return next(row["output"] for row in self._rows() if row["instruction"] == question)

    def _rows(self) -> Iterator[dict[str, str]]:
        with self.instructions.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)


def training_job(dataset_version: str, base_model: str) -> trainer_pb2.TrainingJob:
    """150 steps on short rows: about half a minute on two cores.

    The rate is high for LoRA because the model is small and the task is one of form. Dropout would only slow it down:
    150 steps do not overfit 976 rows. A checkpoint every 50 steps costs an interrupted demo a few seconds at most.
    """
    return trainer_pb2.TrainingJob(
        dataset_version=dataset_version,
        base_model=base_model,
        lora=trainer_pb2.LoraSpec(rank=16, alpha=32, dropout=0.0),
        schedule=trainer_pb2.Schedule(
            max_steps=150,
            batch_size=16,
            learning_rate=2e-3,
            warmup_steps=10,
            scheduler=trainer_pb2.SCHEDULER_COSINE,
            max_length=128,
            save_steps=50,
            eval_steps=75,
        ),
    )


def evaluation(adapter: str) -> evaluator_pb2.Evaluation:
    """Once each: the likeliest answer of these models is the same every time."""
    return evaluator_pb2.Evaluation(
        adapter=adapter,
        suites=[
            suite_pb2.Suite(name="validation", metrics=[suite_pb2.Metric(name="exact_match")], max_items=MAX_ITEMS)
        ],
        repeats=1,
    )


def find_examples(given: Path | None) -> Examples:
    """In the folder given, in the checkout that this package is installed from, or in `./examples`."""
    checkout = Path(__file__).resolve().parents[4] / "examples"
    for folder in [given] if given else [checkout, Path("examples")]:
        examples = Examples(folder / "facts" / "instructions.jsonl", folder / "tiny-base")
        if examples.instructions.is_file() and examples.base_model.is_dir():
            return examples
    raise InvalidInput(
        f"no facts/instructions.jsonl and tiny-base/ in {given or checkout}; name their folder with --examples"
    )
