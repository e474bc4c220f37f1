"""Lets the model in training answer validation rows, and scores the answers against the expected ones."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from fragua_trainer.domain.training_spec import EarlyStoppingSpec, StoppingMetric
from fragua_trainer.training.batch import IGNORED, Example
from fragua_trainer.training.examples import ChatFormat
from fragua_trainer.training.run import Run


@dataclass(frozen=True)
class Exam:
    chat: ChatFormat
    examples: Sequence[Example]
    metric: StoppingMetric
    answer_tokens: int
    rows_at_once: int

    @classmethod
    def of(
        cls, spec: EarlyStoppingSpec, chat: ChatFormat, examples: Sequence[Example], rows_at_once: int
    ) -> Exam | None:
        """None where nothing has to be generated. A file may be in the order of its topics, so rows are spread over it."""
        if spec.metric is StoppingMetric.VALIDATION_LOSS or not examples:
            return None
        spread = range(0, len(examples), -(-len(examples) // spec.rows))
        return cls(chat, [examples[at] for at in spread], spec.metric, spec.answer_tokens, rows_at_once)

    def score(self, run: Run, go_on: Callable[[int, int], bool]) -> float | None:
        """The mean over its rows, from 0 to 1; None when `go_on(rows answered, rows)` said no."""
        # Rows of like length side by side waste little on padding.
        asked = sorted((_last_turn(example) for example in self.examples), key=lambda turn: len(turn[0]))
        total = 0.0
        for start in range(0, len(asked), self.rows_at_once):
            if not go_on(start, len(asked)):
                return None
            turns = asked[start : start + self.rows_at_once]
            answers = self._answer(run, [prompt for prompt, _ in turns])
            total += sum(
                score_answer(self.metric, answer, self._text(expected))
                for answer, (_, expected) in zip(answers, turns, strict=True)
            )
        return total / len(asked)

    @torch.no_grad()
    def _answer(self, run: Run, prompts: Sequence[list[int]]) -> list[str]:
        width = max(len(prompt) for prompt in prompts)
        ends = sorted(self.chat.end_of_turn)
        # Padded on the left: generation goes on at the right.
        padding = [[0] * (width - len(prompt)) for prompt in prompts]
        tokens = torch.tensor([pad + prompt for pad, prompt in zip(padding, prompts, strict=True)], device=run.device)
        mask = torch.tensor([[0] * len(pad) + [1] * (width - len(pad)) for pad in padding], device=run.device)
        run.model.eval()
        model: Any = run.model
        with run.autocast():
            written = model.generate(
                input_ids=tokens,
                attention_mask=mask,
                generation_config=GenerationConfig(
                    do_sample=False,
                    max_new_tokens=self.answer_tokens,
                    eos_token_id=ends,
                    pad_token_id=ends[0],
                    use_cache=True,
                ),
            )
        return [self._text(row) for row in written[:, width:].tolist()]

    def _text(self, tokens: list[int]) -> str:
        return str(self.chat.tokenizer.decode(tokens, skip_special_tokens=True))


def score_answer(metric: StoppingMetric, answer: str, expected: str) -> float:
    """From 0 to 1, as the evaluator scores: white space and ways to write an accent never count."""
    answer, expected = _plain(answer), _plain(expected)
    if metric is StoppingMetric.EXACT_MATCH:
        return float(answer == expected)
    answer, expected = answer.casefold(), expected.casefold()
    if metric is StoppingMetric.CONTAINS:
        return float(expected in answer)
    ours, theirs = _words(answer), _words(expected)
    shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def _last_turn(example: Example) -> tuple[list[int], list[int]]:
    """What the model is asked last in a row, and the answer that it should give."""
    end = max(at for at, label in enumerate(example.labels) if label != IGNORED) + 1
    start = end
    while start and example.labels[start - 1] != IGNORED:
        start -= 1
    return example.tokens[:start], example.tokens[start:end]


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)
