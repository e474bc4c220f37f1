"""Near-duplicates: what is told is true, what is planted is found, and no text is too strange or too often there."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fragua_dataset.ingestion.likeness import PIECE_CHARACTERS, word_triples
from fragua_dataset.ingestion.near_duplicates import NearDuplicates, Pair

WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)
VARIATION_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")

Triples = list[tuple[str, str, str]]


def plain_words(text: str) -> list[str]:
    """The words of a text, character by character: the plain way to what `likeness` does for many texts at once."""
    spaced = ""
    for character in unicodedata.normalize("NFKC", text).casefold():
        is_mark = unicodedata.category(character).startswith("M") and not VARIATION_SELECTOR.match(character)
        if not (character.isalnum() or character == "_" or is_mark):
            spaced += " "
        elif WITHOUT_SPACES.match(character):
            spaced += f" {character} "
        else:
            spaced += character
    return spaced.split()


def plain_triples(text: str) -> Triples:
    words = plain_words(text)
    return list(zip(words, words[1:], words[2:], strict=False))


def plain_jaccard(one: str, other: str) -> float:
    first, second = set(plain_triples(one)), set(plain_triples(other))
    return len(first & second) / len(first | second) if first | second else 0.0


def near_pairs(texts: Sequence[str], folder: Path, jaccard: float = 0.8, at_once: int = 1000) -> list[Pair]:
    with NearDuplicates(folder, jaccard=jaccard) as near_duplicates:
        for start in range(0, len(texts), at_once):
            near_duplicates.add(texts[start : start + at_once])
        return list(near_duplicates.pairs(texts.__getitem__))


def random_text(chance: random.Random, words: int) -> list[str]:
    return ["".join(chance.choices("abcdefgiñóú", k=6)) for _ in range(words)]


awkward = st.text(
    st.one_of(
        st.sampled_from("aAbñÑéÉ ßİıſﬁ½º²_-.,;¿?\n\t\u00a0\u00ad\u0301\u0308\u0345\ufe0f\u200d\u0640ͅ"),
        st.sampled_from("한글ᄒ\u1161\u11abﾡ가क्षिعربيעברית日本語カナｶﾞ丽ไทย❤🔥👩𝒜𠀀𝟙\ud800"),
        st.characters(),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(awkward, max_size=6))
@example(["", "uno dos tres", "", "uno dos", "tres cuatro cinco seis", "\n"])
@example(["ÁRBOL Árbol a\u0301rbol árbol", "straße STRASSE ﬁn", "각 \u1100\u1161\u11a8"])
def test_triples_are_those_of_a_plain_reading(texts: list[str]) -> None:
    numbers, counts = word_triples(texts)
    expected = [triple for text in texts for triple in plain_triples(text)]
    assert counts.tolist() == [len(plain_triples(text)) for text in texts]
    assert len(numbers) == len(expected)
    # One number for each triple, and another for each other one.
    assert len(set(zip(numbers.tolist(), expected, strict=True))) == len(set(expected)) == len(set(numbers.tolist()))


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(["uno", "dos", "TRES", "señor", "sí", "日本"]), max_size=14), max_size=12),
    jaccard=st.sampled_from([0.5, 0.7, 0.8, 1.0]),
)
# R15
def test_every_pair_told_is_as_alike_as_it_says(
    texts: list[list[str]], jaccard: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    joined = [" ".join(words) for words in texts]
    pairs = near_pairs(joined, tmp_path_factory.mktemp("spool"), jaccard)
    for pair in pairs:
        assert pair.first < pair.second
        assert pair.jaccard == plain_jaccard(joined[pair.first], joined[pair.second]) >= jaccard
    assert len(pairs) == len(joined) - number_of_clusters(pairs, len(joined)), "some pair closes a circle"


def number_of_clusters(pairs: Sequence[Pair], rows: int) -> int:
    cluster = list(range(rows))
    for pair in pairs:
        former, now = cluster[pair.second], cluster[pair.first]
        cluster = [now if name == former else name for name in cluster]
    return len(set(cluster))


@pytest.mark.parametrize("length", [12, 40, 150, 600])
@pytest.mark.parametrize("jaccard", [0.5, 0.8, 0.95])
def test_what_is_planted_is_found_and_decoys_are_not(length: int, jaccard: float, tmp_path: Path) -> None:
    chance = random.Random(5)
    texts: list[str] = []
    for _ in range(200):
        original = random_text(chance, length)
        copy = list(original)
        for _ in range(chance.randint(0, max(1, length // 12))):
            copy[chance.randrange(length)] = "otra"
        texts += [" ".join(original), " ".join(copy)]
    likeness = {row: plain_jaccard(texts[row], texts[row + 1]) for row in range(0, len(texts), 2)}
    near = {(row, row + 1) for row, value in likeness.items() if value >= jaccard}
    told = {(pair.first, pair.second) for pair in near_pairs(texts, tmp_path, jaccard)}
    assert told <= near
    assert len(told) >= 0.98 * len(near) > 0
    assert jaccard == 0.5 or len(near) < len(likeness)


# R64
def test_a_migrated_twin_of_a_dataset_is_found_row_by_row(tmp_path: Path) -> None:
    chance = random.Random(1)
    original = [" ".join(random_text(chance, 40)) for _ in range(300)]
    migrated = [f"{text.capitalize()} (migrado)" for text in reversed(original)]
    pairs = near_pairs([*original, *migrated], tmp_path)
    assert {(pair.first, pair.second) for pair in pairs} == {(row, 599 - row) for row in range(300)}


def test_accents_tell_words_apart_but_case_punctuation_and_unicode_form_do_not(tmp_path: Path) -> None:
    texts = [
        "¿Cuántos años tiene el señor Ibáñez?",
        unicodedata.normalize("NFD", "CUÁNTOS AÑOS — tiene «el señor» Ibáñez… 🎂"),
        "¿Cuantos anos tiene el senor Ibañez?",
    ]
    assert near_pairs(texts, tmp_path) == [Pair(0, 1, 1.0)]


def test_copies_are_found_in_any_script(tmp_path: Path) -> None:
    originals = [
        "كان الرجل العجوز يصطاد السمك وحيدا في قاربه كل يوم",
        "הזקן היה דג לבדו בסירתו בזרם הגולף בכל יום ויום",
        "老人は小舟で一人で漁をしていたがもう八十四日も魚が釣れなかった",
        "ชายชราคนหนึ่งหาปลาตามลำพังในเรือเล็กกลางกระแสน้ำอุ่น",
        "노인은 멕시코 만류에서 홀로 작은 배를 타고 고기를 잡는 사람이었다",
        "वह एक बूढ़ा आदमी था जो खाड़ी की धारा में अकेले मछली पकड़ता था",
    ]
    pairs = near_pairs([*originals, *(f"{text} 👍🏽!" for text in originals)], tmp_path)
    assert [(pair.first, pair.second) for pair in sorted(pairs, key=lambda pair: pair.first)] == [
        (number, number + len(originals)) for number in range(len(originals))
    ]


@pytest.mark.parametrize("text", ["", " \n", "sí", "sí, claro", "😀😀 😀 😀 😀", "?!…", "\u0301\u0301"])
def test_texts_without_three_words_are_near_to_nothing(text: str, tmp_path: Path) -> None:
    assert near_pairs([text, text, "uno dos tres", text], tmp_path) == []


def test_a_word_of_a_megabyte_is_a_word(tmp_path: Path) -> None:
    word = "ñ" * 2**20
    assert near_pairs([f"uno {word} dos tres", word, f"uno {word} dos tres."], tmp_path) == [Pair(0, 2, 1.0)]


@pytest.mark.parametrize("shift", range(4))
def test_texts_longer_than_a_piece_have_the_same_triples_as_any(shift: int) -> None:
    words = [f"palabra{number}" for number in range(PIECE_CHARACTERS // 4)]
    text = "x" * shift + " ".join(words)
    numbers, counts = word_triples(["antes de todo", text, "y después"])
    _, expected = word_triples([text[: PIECE_CHARACTERS // 2]])
    assert counts.tolist() == [1, len(words) - 2, 0]
    assert len(np.unique(numbers)) == len(numbers) > expected[0]


def test_a_hundred_thousand_equal_rows_are_one_cluster(tmp_path: Path) -> None:
    rows = 100_000
    texts_read = 0

    def text_of(_row: int) -> str:
        nonlocal texts_read
        texts_read += 1
        return "la misma pregunta y la misma respuesta"

    with NearDuplicates(tmp_path, jaccard=0.8) as near_duplicates:
        near_duplicates.add([text_of(row) for row in range(rows)])
        texts_read = 0
        pairs = list(near_duplicates.pairs(text_of))
    assert [(pair.first, pair.second) for pair in pairs] == [(0, row) for row in range(1, rows)]
    assert texts_read < 1.01 * rows


def test_a_chain_of_neighbours_is_linked_though_its_ends_are_unlike(tmp_path: Path) -> None:
    chance = random.Random(3)
    words = random_text(chance, 300)
    texts = [" ".join(words[start : start + 200]) for start in range(0, 100, 10)]
    pairs = near_pairs(texts, tmp_path)
    assert plain_jaccard(texts[0], texts[-1]) < 0.8
    assert number_of_clusters(pairs, len(texts)) == 1


@pytest.mark.parametrize("at_once", [1, 7, 5000])
def test_pairs_depend_on_the_rows_alone(at_once: int, tmp_path: Path) -> None:
    chance = random.Random(9)
    originals = [random_text(chance, 30) for _ in range(2500)]
    texts = [" ".join(words) for words in originals] + [" ".join(words[2:]) for words in originals]
    pairs = near_pairs(texts, tmp_path / "one", at_once=at_once)
    assert len(pairs) > 2450
    assert pairs == near_pairs(texts, tmp_path / "other")


def test_nothing_is_left_in_the_spool(tmp_path: Path) -> None:
    assert near_pairs(["uno dos tres cuatro"] * 2, tmp_path) == [Pair(0, 1, 1.0)]
    assert list(tmp_path.iterdir()) == []


def test_no_rows_have_no_pairs(tmp_path: Path) -> None:
    assert near_pairs([], tmp_path) == []
