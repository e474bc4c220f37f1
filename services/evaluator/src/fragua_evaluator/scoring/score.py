"""Lets base and tuned model answer the same questions, batch by batch, and writes what came out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from fragua_evaluator.domain.evaluation_spec import Arm, EvaluationSpec
from fragua_evaluator.scoring.answers import AnswerBook, AnsweredBatch
from fragua_evaluator.scoring.chat import Chat, open_chat
from fragua_evaluator.scoring.items import Item, Selection, select_items
from fragua_evaluator.scoring.loading import ADAPTER_WEIGHTS, load_tuned_model
from fragua_evaluator.scoring.memory import forget_peak, peak_rss_bytes
from fragua_evaluator.scoring.metrics import score_answer
from fragua_evaluator.scoring.model import Answer, TunedModel
from fragua_evaluator.scoring.report import REPORT_FILE, write_outputs
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

_CHECKPOINT_SHARE = 0.05
"""Checkpoints hold all answers so far, so long runs space them out: at most this share of the time is lost."""


@dataclass(frozen=True)
class Question:
    item: Item
    prompt: list[int]


def score(spec: EvaluationSpec, job: JobDirectory, reporter: Reporter, threads: int) -> None:
    started = time.monotonic()
    (job.outputs / REPORT_FILE).unlink(missing_ok=True)  # of an earlier run by hand in this folder
    torch.set_num_threads(threads)
    selection = select_items(job.inputs / "dataset" / "validation.jsonl", spec)
    chat = open_chat(job.inputs / "base")
    batches = plan_batches(selection, chat, spec)
    book = AnswerBook(_fingerprint(spec, selection, job.inputs))
    if job.resume_from is not None:
        book.restore(job.resume_from)

    reporter.progress("loading", 0, 1, "base model and adapter")
    model = load_tuned_model(job.inputs / "base", job.inputs / "adapter", chat, spec.max_new_tokens)
    reporter.progress("loading", 1, 1, f"{model.weights_type} on {model.device.type}")

    # The first answer of a process is slow; neither arm should pay for it.
    model.warm_up([question.prompt for question in batches[0]], lambda: reporter.stop_requested)
    Interview(spec, batches, book, job, reporter).ask(model)
    write_outputs(job.outputs, spec, selection, book, chat, model, time.monotonic() - started)


def plan_batches(selection: Selection, chat: Chat, spec: EvaluationSpec) -> list[list[Question]]:
    """Questions of like length side by side, the longest first: little padding, and memory runs out early or never.

    Both arms answer these very batches, also after a restart: padding changes the last bits of a sum, and with them,
    once in a while, a token.
    """
    prompts = chat.prompts(selection.items, spec.max_new_tokens)
    questions = [Question(item, prompt) for item, prompt in zip(selection.items, prompts, strict=True)]
    questions.sort(key=lambda question: -len(question.prompt))
    return [questions[start : start + spec.batch_size] for start in range(0, len(questions), spec.batch_size)]


class Interview:
    """Puts every batch to both arms, and saves the answers on the way."""

    def __init__(
        self,
        spec: EvaluationSpec,
        batches: Sequence[list[Question]],
        book: AnswerBook,
        job: JobDirectory,
        reporter: Reporter,
    ) -> None:
        self._spec = spec
        self._batches = batches
        self._book = book
        self._job = job
        self._reporter = reporter
        self._started = self._saved_at = time.monotonic()
        self._saved_answers = book.answer_count

    def ask(self, model: TunedModel) -> None:
        for arm in Arm:
            with model.answering_as(arm):
                self._ask_arm(model, arm)

    def _ask_arm(self, model: TunedModel, arm: Arm) -> None:
        total = sum(map(len, self._batches))
        scores = [
            self._score(question, self._book.answer(arm, number, question.item.id))
            for number, batch in enumerate(self._batches)
            if self._book.has(arm, number)
            for question in batch
        ]
        self._reporter.progress(f"scoring {arm}", len(scores), total)
        can_measure_memory = forget_peak()
        for number, batch in enumerate(self._batches):
            if self._book.has(arm, number):
                continue
            answered = model.answer([question.prompt for question in batch], lambda: self._reporter.stop_requested)
            if answered is None:
                self._save()
                raise Interrupted
            answers, seconds = answered
            self._book.add(
                AnsweredBatch(
                    arm=arm,
                    batch=number,
                    seconds=seconds,
                    peak_rss_bytes=peak_rss_bytes() if can_measure_memory else None,
                    answers={question.item.id: answer for question, answer in zip(batch, answers, strict=True)},
                )
            )
            scores += [self._score(question, answer) for question, answer in zip(batch, answers, strict=True)]
            metrics = {
                "score": sum(scores) / len(scores),
                "tokens_per_second": sum(answer.tokens for answer in answers) / seconds,
            }
            self._reporter.progress(f"scoring {arm}", len(scores), total, metrics=metrics)
            if self._is_worth_saving():
                self._save()

    def _score(self, question: Question, answer: Answer) -> float:
        return score_answer(self._spec.metric, answer.text, question.item.expected)

    def _is_worth_saving(self) -> bool:
        now = time.monotonic()
        return now - self._saved_at >= max(self._spec.checkpoint_seconds, _CHECKPOINT_SHARE * (now - self._started))

    def _save(self) -> None:
        if self._book.answer_count > self._saved_answers:
            checkpoint = self._book.save(self._job.checkpoints)
            self._reporter.checkpoint(self._book.answer_count, checkpoint, self._job.root)
            self._saved_answers = self._book.answer_count
        self._saved_at = time.monotonic()


def _fingerprint(spec: EvaluationSpec, selection: Selection, inputs: Path) -> dict[str, str]:
    """What decides the answers and how they are batched."""
    decisive = spec.model_dump_json(exclude={"provenance", "checkpoint_seconds", "metric"})
    adapter = inputs / "adapter" / ADAPTER_WEIGHTS
    return {
        "specification": json.dumps(json.loads(decisive), sort_keys=True),
        "validation.jsonl": selection.sha256,
        "adapter": _sha256(adapter) if adapter.is_file() else "absent",
        "base": _sha256(inputs / "base" / "config.json"),
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
