"""The items that a page carries: as many as its limits allow, drawn by the evaluation's seed."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fragua_evaluator.domain.report import Answer, ArmItem, ItemRecord

MAX_ITEMS = 10_000
MAX_CHARS = 24_000_000
"""Of all items together, as JSON."""
MAX_TEXT_CHARS = 6_000
"""Of one answer, one expected answer or one message; what is longer is cut, and the page says so."""
MAX_MESSAGES = 8
"""Of one item; the last ones are kept."""


@dataclass(frozen=True)
class ItemSample:
    rows: tuple[str, ...]
    """One JSON object for each item, in the order of the evaluation."""
    total: int
    """Items of the evaluation."""


def sample_items(items: Iterable[ItemRecord], arms: Sequence[str], seed: int) -> ItemSample:
    """Each item has a place in a draw that depends on the seed, its suite and its id alone; the first places are taken.

    Holds no more than the sample, however many items there are.
    """
    # The heap gives the last place first: that item leaves when there are too many.
    taken: list[tuple[int, int, str]] = []
    total = chars = 0
    refused_from: int | None = None
    for number, item in enumerate(items):
        total += 1
        place = _place(item, seed)
        if refused_from is not None and place >= refused_from:
            continue
        row = _dumped(_row(item, arms))
        heapq.heappush(taken, (-place, number, row))
        chars += len(row)
        while len(taken) > MAX_ITEMS or chars > MAX_CHARS:
            negative, _, dropped = heapq.heappop(taken)
            refused_from = -negative
            chars -= len(dropped)
    drawn = sorted(taken, reverse=True)
    in_order = sorted((number, draw, row) for draw, (_, number, row) in enumerate(drawn))
    return ItemSample(tuple(f'{{"draw":{draw},{row[1:]}' for _, draw, row in in_order), total)


def _place(item: ItemRecord, seed: int) -> int:
    name = json.dumps([seed, item.suite, item.id])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def _row(item: ItemRecord, arms: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "suite": item.suite,
        "id": item.id,
        "tag": item.tag,
        "messages": [[message.role.value, _text(message.content)] for message in item.messages[-MAX_MESSAGES:]],
        "expected": _text(item.expected),
        "arms": [_arm(item.arms[arm]) if arm in item.arms else None for arm in arms],
    }
    if len(item.messages) > MAX_MESSAGES:
        row["earlier"] = len(item.messages) - MAX_MESSAGES
    if item.choices is not None:
        row["choices"] = [_text(choice) for choice in item.choices]
    return row


def _arm(result: ArmItem) -> dict[str, Any]:
    return {
        "scores": {
            name: {"value": score.value}
            | ({"components": score.components} if score.components else {})
            | ({"failure": _text(score.failure)} if score.failure else {})
            for name, score in result.scores.items()
        },
        "checks": result.checks,
        "answers": _answers(result.answers),
    }


def _answers(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Repeats that are the same stand once: greedy decoding repeats itself."""
    different: dict[tuple[Any, ...], dict[str, Any]] = {}
    for repeat, answer in enumerate(answers, start=1):
        key = (answer.text, answer.ending, answer.failure, answer.choice_log_likelihoods, answer.log_likelihood)
        if key in different:
            different[key]["repeats"].append(repeat)
            continue
        told: dict[str, Any] = {"repeats": [repeat], "text": _text(answer.text), "ending": answer.ending.value}
        told["tokens"] = answer.tokens
        if answer.failure:
            told["failure"] = _text(answer.failure)
        if answer.choice_log_likelihoods is not None:
            told["choices"] = [round(value, 4) for value in answer.choice_log_likelihoods]
        if answer.log_likelihood is not None:
            told["logLikelihood"] = round(answer.log_likelihood, 4)
        different[key] = told
    return list(different.values())


def _text(text: str) -> str | dict[str, Any]:
    """A cut text tells how long it was."""
    return text if len(text) <= MAX_TEXT_CHARS else {"text": text[:MAX_TEXT_CHARS], "chars": len(text)}


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def inside_script(text: str) -> str:
    """JSON that cannot end the `script` element it stands in, nor begin a comment there."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
