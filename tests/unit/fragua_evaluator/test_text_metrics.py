"""Answers compared with expected ones as texts."""

from __future__ import annotations

import time
import unicodedata

import pytest

from fragua_evaluator.scoring.metrics import texts


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        # The examples of Lin's paper on ROUGE (2004): a longest common sequence of three words of four, and of two.
        ("police kill the gunman", "police killed the gunman", 0.75),
        ("the gunman kill police", "police killed the gunman", 0.5),
        ("El niño comió una manzana.", "¿Comió el NIÑO una manzana?", 0.8),
        ("", "el niño", 0.0),
        ("¡!", "¿?", 0.0),
    ],
)
def test_rouge_l_is_the_f1_of_the_longest_common_sequence_of_words(answer: str, expected: str, score: float) -> None:
    assert texts.rouge_l(answer, expected) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "expected", "score"),
    [
        # One of two characters is right and no pair is: precision and recall are a quarter each.
        ("ab", "ac", 0.25),
        ("La mañana", "La mañana", 1.0),
        ("la mañana", "La mañana", (7 / 8 + 6 / 7 + 5 / 6 + 4 / 5 + 3 / 4 + 2 / 3) / 6),
        ("a b c", "abc", 1.0),
        ("", "a", 0.0),
    ],
)
def test_chrf_counts_sequences_of_characters(answer: str, expected: str, score: float) -> None:
    assert texts.chrf(answer, expected) == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("compare", [texts.exact_match, texts.contains, texts.token_f1, texts.rouge_l, texts.chrf])
def test_composed_and_decomposed_accents_are_the_same(compare: object) -> None:
    text = "Mañana, el pingüino comerá aquí."
    assert callable(compare)
    assert compare(unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)) == pytest.approx(1)


@pytest.mark.parametrize("compare", [texts.exact_match, texts.contains, texts.token_f1, texts.rouge_l, texts.chrf])
@pytest.mark.parametrize(
    "output",
    [
        pytest.param("La casa es azul. " * 60_000, id="prose"),
        # Putting these in order takes minutes, unless somebody breaks the run.
        pytest.param("a" + "\u0301\u0316" * 250_000, id="marks over one letter"),
    ],
)
def test_an_answer_of_a_megabyte_is_scored_in_seconds(compare: object, output: str) -> None:
    started = time.process_time()
    assert callable(compare)
    assert 0 <= compare(output, "La casa es azul y el cielo también. " * 100) <= 1
    assert time.process_time() - started < 10


def test_chrf_refuses_more_than_it_can_count() -> None:
    with pytest.raises(texts.TooLong, match="at most 2000000"):
        texts.chrf("a" * texts.MAX_CHRF_CHARS, "a")
