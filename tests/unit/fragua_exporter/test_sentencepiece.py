"""SentencePiece tokenizers split every text in llama.cpp as they do in transformers, or are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gguf
import pytest
from transformers import AutoTokenizer

from fragua_exporter.conversion.reference import PARITY_TEXTS
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_platform.errors import InvalidData, InvalidInput
from tests.tiny_tokenizers import Style, make_sentencepiece_tokenizer, sentencepieces, write_sentencepiece_model
from tests.unit.fragua_exporter.conversions import TokenSplitter, write_vocabulary

ROWS = 704
TURNS = (
    "<s><|im_start|>user\n¿Qué es?<|im_end|>\n<|im_start|>assistant\n",
    "<s> [INST] Hola, ¿qué tal? [/INST] Bien.</s> [INST] Adiós [/INST]",
    "<|system|>\nSé breve.<|end|>\n<|user|>\n  ¿Año?<|end|>\n\n<|assistant|>\nñu</s>\n<|endoftext|>\n",
)


def save(style: Style, directory: Path) -> Path:
    make_sentencepiece_tokenizer(style).save_pretrained(directory)
    return directory


def change(directory: Path, **changes: Any) -> None:
    file = directory / "tokenizer.json"
    document = json.loads(file.read_text("utf-8"))
    model = {name.removeprefix("model__"): value for name, value in changes.items() if name.startswith("model__")}
    document |= {name: value for name, value in changes.items() if not name.startswith("model__")}
    document["model"] |= model
    file.write_text(json.dumps(document), "utf-8")


@pytest.mark.parametrize("style", ["llama", "metaspace", "gemma", "phi3"])
@pytest.mark.parametrize("with_scores", [False, True], ids=["tokenizer.json alone", "with tokenizer.model"])
def test_texts_become_the_same_tokens(style: Style, with_scores: bool, tmp_path: Path) -> None:
    save(style, tmp_path)
    if with_scores:
        write_sentencepiece_model(tmp_path / "tokenizer.model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    vocabulary = load_vocabulary(tmp_path, ROWS)
    with TokenSplitter(write_vocabulary(vocabulary, tmp_path / "vocabulary.gguf")) as split:
        for text in (*PARITY_TEXTS, *TURNS):
            # Bare text alone: llama.cpp cannot put a space before it and none behind special tokens.
            given = f" {text}" if style == "metaspace" and not text.startswith(("<s>", " ")) else text
            assert split(given) == tokenizer(text, add_special_tokens=False)["input_ids"], text
            turn = f"<s>{text}</s>\n{text}"
            assert split(turn) == tokenizer(turn, add_special_tokens=False)["input_ids"], turn


def test_scores_of_the_merges_put_tokens_in_the_order_of_the_true_ones(tmp_path: Path) -> None:
    save("llama", tmp_path)
    from_merges = load_vocabulary(tmp_path, ROWS)
    write_sentencepiece_model(tmp_path / "tokenizer.model")
    from_file = load_vocabulary(tmp_path, ROWS)
    joined = [i for i, (piece, _) in enumerate(sentencepieces()) if i > 258 and len(piece) > 1]
    assert sorted(joined, key=lambda i: from_merges.scores[i]) == sorted(joined, key=lambda i: from_file.scores[i])
    assert dict(zip(from_file.tokens, from_file.scores, strict=True)).items() >= dict(sentencepieces()[259:]).items()


def test_every_token_has_its_type(tmp_path: Path) -> None:
    vocabulary = load_vocabulary(save("llama", tmp_path), ROWS)
    types = dict(zip(vocabulary.tokens, vocabulary.types, strict=True))
    assert types["<unk>"] is gguf.TokenType.UNKNOWN
    assert types["<s>"] is types["</s>"] is types["<|im_end|>"] is gguf.TokenType.CONTROL
    assert types["<0x0A>"] is gguf.TokenType.BYTE
    assert types["▁▁"] is types["a"] is gguf.TokenType.NORMAL
    assert types[f"[PAD{ROWS - 1}]"] is gguf.TokenType.UNUSED
    assert vocabulary.special_ids == {"bos": 1, "eos": vocabulary.tokens.index("<|im_end|>"), "unk": 0, "pad": 0}


def test_ordinary_added_tokens_are_looked_for_with_their_spaces(tmp_path: Path) -> None:
    tokenizer = make_sentencepiece_tokenizer("gemma")
    tokenizer.add_tokens(["▁▁▁"])
    tokenizer.save_pretrained(tmp_path)
    vocabulary = load_vocabulary(tmp_path, ROWS)
    added = len(tokenizer) - 1
    assert (vocabulary.tokens[added], vocabulary.types[added]) == ("   ", gguf.TokenType.USER_DEFINED)


@pytest.mark.parametrize(("style", "prefix"), [("llama", True), ("metaspace", False), ("gemma", False)])
def test_llama_cpp_is_told_to_add_neither_bos_nor_foreign_spaces(style: Style, prefix: bool, tmp_path: Path) -> None:
    file = write_vocabulary(load_vocabulary(save(style, tmp_path), ROWS), tmp_path / "vocabulary.gguf")
    fields = gguf.GGUFReader(file).fields
    # Without the first of these, llama.cpp begins every text of such a vocabulary with <s>.
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False
    assert fields["tokenizer.ggml.add_eos_token"].contents() is False
    assert fields["tokenizer.ggml.add_space_prefix"].contents() is prefix


def test_the_wrong_space_prefix_gives_other_tokens(tmp_path: Path) -> None:
    tokenizer = make_sentencepiece_tokenizer("gemma")
    tokenizer.save_pretrained(tmp_path)
    file = write_vocabulary(load_vocabulary(tmp_path, ROWS), tmp_path / "vocabulary.gguf", add_add_space_prefix=True)
    with TokenSplitter(file) as split:
        assert split(PARITY_TEXTS[0]) != tokenizer(PARITY_TEXTS[0])["input_ids"]


def test_white_space_behind_phi_3_s_turns_is_swallowed_by_the_name(tmp_path: Path) -> None:
    tokenizer = make_sentencepiece_tokenizer("phi3")
    tokenizer.save_pretrained(tmp_path)
    vocabulary = load_vocabulary(tmp_path, ROWS)
    named = write_vocabulary(vocabulary, tmp_path / "named.gguf")
    nameless = write_vocabulary(vocabulary, tmp_path / "nameless.gguf", add_name=None)
    turn = "<|user|>\n¿Año?<|end|>\n<|assistant|>\n"
    expected = tokenizer(turn, add_special_tokens=False)["input_ids"]
    with TokenSplitter(named) as split:
        assert split(turn) == expected
    with TokenSplitter(nameless) as split:
        assert split(turn) != expected


@pytest.mark.parametrize(
    ("style", "changes", "field"),
    [
        ("llama", {"normalizer": {"type": "NFKC"}}, "normalizer"),
        (
            "llama",  # remove_extra_whitespaces, as transformers carries it over
            {"normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}},
            "normalizer",
        ),
        (
            "metaspace",
            {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}},
            "normalizer",
        ),
        ("llama", {"model__ignore_merges": True}, "model.ignore_merges"),
        ("llama", {"model__type": "Unigram"}, "model.type"),
    ],
)
def test_what_llama_cpp_would_split_otherwise_is_refused(
    style: Style, changes: dict[str, Any], field: str, tmp_path: Path
) -> None:
    change(save(style, tmp_path), **changes)
    with pytest.raises(InvalidInput) as refused:
        load_vocabulary(tmp_path, ROWS)
    assert [violation.field for violation in refused.value.violations] == [f"tokenizer.json: {field}"]
    assert refused.value.reason == "UNSUPPORTED_TOKENIZER"


def test_merges_that_leave_out_what_llama_cpp_would_join_are_refused(tmp_path: Path) -> None:
    document = json.loads((save("llama", tmp_path) / "tokenizer.json").read_text("utf-8"))
    change(tmp_path, model__merges=[list(pair) for pair in document["model"]["merges"] if pair != ["▁▁", "▁▁"]])
    with pytest.raises(InvalidInput) as refused:
        load_vocabulary(tmp_path, ROWS)
    assert "leaves out 1 ways to join its tokens, such as '▁▁' + '▁▁'" in refused.value.violations[0].description


def test_a_vocabulary_without_all_bytes_is_refused(tmp_path: Path) -> None:
    document = json.loads((save("llama", tmp_path) / "tokenizer.json").read_text("utf-8"))
    vocab = {text: i for text, i in document["model"]["vocab"].items() if not re.fullmatch("<0xF[0-9A-F]>", text)}
    change(tmp_path, model__vocab=vocab)
    with pytest.raises(InvalidInput) as refused:
        load_vocabulary(tmp_path, ROWS)
    assert refused.value.violations[0].description == "has no token for 16 of the 256 bytes"


def test_white_space_swallowed_by_other_tokens_than_phi_3_s_is_refused(tmp_path: Path) -> None:
    document = json.loads((save("llama", tmp_path) / "tokenizer.json").read_text("utf-8"))
    change(tmp_path, added_tokens=[token | {"rstrip": token["id"] > 2} for token in document["added_tokens"]])
    with pytest.raises(InvalidInput) as refused:
        load_vocabulary(tmp_path, ROWS)
    assert [violation.field for violation in refused.value.violations] == ["tokenizer.json: added_tokens"]


def test_a_damaged_sentencepiece_file_is_named(tmp_path: Path) -> None:
    save("llama", tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"version https://git-lfs")
    with pytest.raises(InvalidData, match=r"tokenizer\.model is damaged"):
        load_vocabulary(tmp_path, ROWS)
