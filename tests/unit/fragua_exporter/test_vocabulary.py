"""Tokenizers are carried over whole, or refused with what llama.cpp would do otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest

from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_platform.errors import InvalidInput
from tests.tiny_models import VOCABULARY_SIZE


@pytest.fixture
def tokenizer(base: Path, tmp_path: Path) -> Path:
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(base / name, tmp_path)
    return tmp_path


def change(directory: Path, **changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "tokenizer.json").read_text("utf-8"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = document
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[int(last) if last.isdigit() else last] = value
    (directory / "tokenizer.json").write_text(json.dumps(document), "utf-8")
    return document


def test_ids_types_merges_and_special_tokens_are_carried_over(tokenizer: Path) -> None:
    vocabulary = load_vocabulary(tokenizer, VOCABULARY_SIZE)
    assert len(vocabulary.tokens) == VOCABULARY_SIZE
    assert vocabulary.tokens[:4] == ("<|bos|>", "<|pad|>", "<|im_start|>", "<|im_end|>")
    assert set(vocabulary.types[:4]) == {gguf.TokenType.CONTROL}
    assert set(vocabulary.types[4:]) == {gguf.TokenType.NORMAL}
    assert vocabulary.special_ids == {"bos": 0, "pad": 1, "eos": 3}
    assert vocabulary.control_id("<|im_end|>") == 3
    assert vocabulary.control_id("a") is None


def test_rows_beyond_the_tokenizer_are_padded(tokenizer: Path) -> None:
    vocabulary = load_vocabulary(tokenizer, VOCABULARY_SIZE + 2)
    assert vocabulary.tokens[-2:] == ("[PAD416]", "[PAD417]")
    assert vocabulary.types[-1] == gguf.TokenType.UNUSED


@pytest.mark.parametrize(("ignore_merges", "name"), [(True, "llama-bpe"), (False, "smaug-bpe")])
def test_the_pre_tokenizer_follows_pattern_and_merging(tokenizer: Path, ignore_merges: bool, name: str) -> None:
    change(tokenizer, model__ignore_merges=ignore_merges)
    assert load_vocabulary(tokenizer, VOCABULARY_SIZE).pre_tokenizer == name


def test_single_digits_are_qwen2(tokenizer: Path) -> None:
    document = change(tokenizer)
    pattern = document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"].replace(r"\p{N}{1,3}", r"\p{N}")
    change(tokenizer, pre_tokenizer__pretokenizers__0__pattern={"Regex": pattern})
    assert load_vocabulary(tokenizer, VOCABULARY_SIZE).pre_tokenizer == "qwen2"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"pre_tokenizer__pretokenizers__0__pattern": {"Regex": r"\s+|\S+"}}, "tokenizer.json: pre_tokenizer"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "tokenizer.json: pre_tokenizer"),
        ({"model__type": "Unigram"}, "tokenizer.json: model.type"),
        ({"model__byte_fallback": True}, "tokenizer.json: model.byte_fallback"),
        ({"model__vocab": None}, "tokenizer.json: model.vocab"),
        ({"normalizer": {"type": "Lowercase"}}, "tokenizer.json: normalizer.type"),
        ({"added_tokens__3__rstrip": True}, "tokenizer.json: added token '<|im_end|>'"),
    ],
)
def test_a_tokenizer_that_llama_cpp_would_run_otherwise_is_refused(
    tokenizer: Path, changes: dict[str, Any], place: str
) -> None:
    change(tokenizer, **changes)
    with pytest.raises(InvalidInput) as refused:
        load_vocabulary(tokenizer, VOCABULARY_SIZE)
    assert [violation.field for violation in refused.value.violations] == [place]


def test_a_tokenizer_larger_than_the_embedding_is_refused(tokenizer: Path) -> None:
    with pytest.raises(InvalidInput, match="only 400 rows"):
        load_vocabulary(tokenizer, 400)
