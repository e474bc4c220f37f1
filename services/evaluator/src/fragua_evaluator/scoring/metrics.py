"""Scores one answer against the expected one."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from fragua_evaluator.domain.evaluation_spec import Metric


def score_answer(metric: Metric, answer: str, expected: str) -> float:
    """From 0 to 1; `Metric` says what each one means."""
    answer, expected = _plain(answer), _plain(expected)
    if metric is Metric.EXACT_MATCH:
        return float(answer == expected)
    answer, expected = answer.casefold(), expected.casefold()
    if metric is Metric.CONTAINS:
        return float(expected in answer)
    return _token_f1(_tokens(answer), _tokens(expected))


def _plain(text: str) -> str:
    """One way to write what reads the same: composed accents, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def _token_f1(answer: list[str], expected: list[str]) -> float:
    shared = (Counter(answer) & Counter(expected)).total()
    # 2PR / (P + R), written so that nothing is divided by zero.
    return 2 * shared / (len(answer) + len(expected)) if shared else 0.0
