"""Tokenizers are carried over whole, or refused with what llama.cpp would do otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest
from transformers import AutoTokenizer

from fragua_exporter.conversion.reference import PARITY_TEXTS
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_platform.errors import InvalidInput
from tests.tiny_models import VOCABULARY_SIZE
from tests.tiny_tokenizers import PATTERNS, make_byte_level_tokenizer
from tests.unit.fragua_exporter.conversions import TokenSplitter, write_vocabulary


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


@pytest.mark.parametrize("name", PATTERNS)
def test_every_splitter_gives_the_same_tokens_in_llama_cpp(name: str, tmp_path: Path) -> None:
    trained = make_byte_level_tokenizer(name)
    trained.save_pretrained(tmp_path)
    vocabulary = load_vocabulary(tmp_path, VOCABULARY_SIZE)
    assert vocabulary.pre_tokenizer == name
    with TokenSplitter(write_vocabulary(vocabulary, tmp_path / "vocabulary.gguf")) as split:
        for text in (*PARITY_TEXTS, *(f"<|im_start|>user\n{text}<|im_end|>\n" for text in PARITY_TEXTS)):
            assert split(text) == trained(text)["input_ids"], text


@pytest.mark.parametrize(("name", "wrong"), [("llama-bpe", "qwen2"), ("qwen2", "gpt-2"), ("gpt-2", "llama-bpe")])
def test_the_wrong_splitter_gives_other_tokens_without_a_word(name: str, wrong: str, tmp_path: Path) -> None:
    trained = make_byte_level_tokenizer(name)
    trained.save_pretrained(tmp_path)
    vocabulary = load_vocabulary(tmp_path, VOCABULARY_SIZE)
    file = write_vocabulary(vocabulary, tmp_path / "vocabulary.gguf", add_tokenizer_pre=wrong)
    with TokenSplitter(file) as split:
        assert any(split(text) != trained(text)["input_ids"] for text in PARITY_TEXTS)


def test_llama_cpp_adds_no_token_of_its_own(tmp_path: Path) -> None:
    make_byte_level_tokenizer("llama-bpe").save_pretrained(tmp_path)
    vocabulary = load_vocabulary(tmp_path, VOCABULARY_SIZE)
    with TokenSplitter(write_vocabulary(vocabulary, tmp_path / "ours.gguf")) as split:
        assert split("hola", add_bos=True) == split("hola")
    # Its splitter's own default for Llama 3 is another.
    with TokenSplitter(write_vocabulary(vocabulary, tmp_path / "theirs.gguf", add_add_bos_token=None)) as split:
        assert split("hola", add_bos=True) == [vocabulary.special_ids["bos"], *split("hola")]


def test_a_name_that_holds_phi3_breaks_files_without_its_tokens(tokenizer: Path) -> None:
    vocabulary = load_vocabulary(tokenizer, VOCABULARY_SIZE)
    file = tokenizer / "named.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    vocabulary.write_metadata(writer)
    writer.add_name("my-phi3-tutor")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ValueError, match="Failed to load model"):
        TokenSplitter(file)


def test_tokens_that_look_special_are_no_part_of_an_answer(tokenizer: Path) -> None:
    added = json.loads((tokenizer / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    more = [added[0] | {"id": 416 + i, "content": t, "special": False} for i, t in enumerate(("<|fim_middle|>", "<x>"))]
    change(tokenizer, added_tokens=[*added, *more])
    vocabulary = load_vocabulary(tokenizer, VOCABULARY_SIZE + 2)
    assert vocabulary.types[-2:] == (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)


def test_a_token_that_transformers_added_behind_the_last_row_is_left_out(tokenizer: Path) -> None:
    """Qwen 2's class does so with its end of text."""
    change(tokenizer, added_tokens__0__id=VOCABULARY_SIZE, added_tokens__0__content="<|endoftext|>")
    file = tokenizer / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"pad_token": "<|endoftext|>"}), "utf-8")
    vocabulary = load_vocabulary(tokenizer, VOCABULARY_SIZE)
    assert len(vocabulary.tokens) == VOCABULARY_SIZE
    assert "<|endoftext|>" not in vocabulary.tokens
    assert max(vocabulary.special_ids.values()) < VOCABULARY_SIZE


def test_a_tokenizer_is_what_its_class_in_transformers_makes_of_it(tmp_path: Path) -> None:
    make_byte_level_tokenizer("qwen2").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    change(tmp_path, pre_tokenizer={"type": "Whitespace"})
    with pytest.raises(InvalidInput):
        load_vocabulary(tmp_path, VOCABULARY_SIZE)
    # This class splits in its own way, and it adds an end of text behind the last row.
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer"}))
    assert len(AutoTokenizer.from_pretrained(tmp_path)) == VOCABULARY_SIZE + 1
    vocabulary = load_vocabulary(tmp_path, VOCABULARY_SIZE)
    assert (vocabulary.pre_tokenizer, len(vocabulary.tokens)) == ("qwen2", VOCABULARY_SIZE)


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
        ({"model__end_of_word_suffix": "</w>"}, "tokenizer.json: model.end_of_word_suffix"),
        ({"model__dropout": 0.1}, "tokenizer.json: model.dropout"),
        ({"model__vocab": None}, "tokenizer.json: model.vocab"),
        ({"normalizer": {"type": "Lowercase"}}, "tokenizer.json: normalizer"),
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
