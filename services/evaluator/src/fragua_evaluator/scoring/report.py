"""Turns answers into the report, and writes it beside every question with both answers."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from fragua_evaluator.domain.evaluation_spec import (
    AnsweredItem,
    Arm,
    ArmReport,
    EvaluationReport,
    EvaluationSpec,
)
from fragua_evaluator.scoring.answers import AnswerBook
from fragua_evaluator.scoring.chat import Chat
from fragua_evaluator.scoring.items import Selection
from fragua_evaluator.scoring.metrics import score_answer
from fragua_evaluator.scoring.model import TunedModel
from fragua_evaluator.scoring.uncertainty import compare, confidence_interval

REPORT_FILE = "report.json"

_LIBRARIES = ("fragua-evaluator", "torch", "transformers", "peft", "tokenizers", "scipy")


def write_outputs(
    outputs: Path,
    spec: EvaluationSpec,
    selection: Selection,
    book: AnswerBook,
    chat: Chat,
    model: TunedModel,
    duration_seconds: float,
) -> None:
    items = _answered_items(spec, selection, book)
    report = EvaluationReport(
        arms={arm: _arm_report(arm, items, book, spec) for arm in Arm},
        paired=compare(
            [item.scores[Arm.BASE] for item in items], [item.scores[Arm.TUNED] for item in items], spec.metric
        ),
        fairness=_fairness(spec, selection, chat, model),
        spec=spec,
        provenance=spec.provenance,
        versions={"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        duration_seconds=round(duration_seconds, 3),
    )
    _write(outputs / "items.jsonl", "".join(item.model_dump_json() + "\n" for item in items))
    # The report goes last: readers take its presence as proof of completeness.
    _write(outputs / REPORT_FILE, report.model_dump_json(indent=2) + "\n")


def _answered_items(spec: EvaluationSpec, selection: Selection, book: AnswerBook) -> list[AnsweredItem]:
    answers = {arm: book.answers(arm) for arm in Arm}
    seconds = {
        arm: {item_id: batch.seconds / len(batch.answers) for batch in book.batches(arm) for item_id in batch.answers}
        for arm in Arm
    }
    return [
        AnsweredItem(
            id=item.id,
            prompt=item.prompt,
            expected=item.expected,
            outputs={arm: answers[arm][item.id].text for arm in Arm},
            scores={arm: score_answer(spec.metric, answers[arm][item.id].text, item.expected) for arm in Arm},
            truncated={arm: not answers[arm][item.id].stopped for arm in Arm},
            tokens={arm: answers[arm][item.id].tokens for arm in Arm},
            seconds={arm: round(seconds[arm][item.id], 4) for arm in Arm},
        )
        for item in selection.items
    ]


def _arm_report(arm: Arm, items: list[AnsweredItem], book: AnswerBook, spec: EvaluationSpec) -> ArmReport:
    scores = [item.scores[arm] for item in items]
    seconds = sum(batch.seconds for batch in book.batches(arm))
    tokens = sum(item.tokens[arm] for item in items)
    peaks = [batch.peak_rss_bytes for batch in book.batches(arm) if batch.peak_rss_bytes is not None]
    return ArmReport(
        score=sum(scores) / len(scores),
        ci95=confidence_interval(scores, spec.metric, spec.seed),
        n=len(items),
        tokens=tokens,
        seconds=round(seconds, 3),
        tokens_per_second=round(tokens / seconds, 2),
        peak_rss_bytes=max(peaks, default=None),
        stopped_rate=sum(not item.truncated[arm] for item in items) / len(items),
    )


def _fairness(
    spec: EvaluationSpec, selection: Selection, chat: Chat, model: TunedModel
) -> dict[str, str | int | list[int]]:
    return {
        "items": len(selection.items),
        "items_available": selection.available,
        "validation_sha256": selection.sha256,
        "chat_template_sha256": hashlib.sha256(str(chat.tokenizer.chat_template).encode()).hexdigest(),
        "decoding": "greedy, without the penalties that the base's own configuration may ask for",
        "stop_token_ids": list(chat.stop_ids),
        "max_new_tokens": spec.max_new_tokens,
        "batches": f"the same, of {spec.batch_size}, padded on the left",
        "weights": "one copy of the base in one process; the base answers with the adapter switched off",
        "weights_type": model.weights_type,
        "device": model.device.type,
        "threads": torch.get_num_threads(),
    }


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
