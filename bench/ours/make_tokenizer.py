"""Rebuilds Llama 3's tokenizer from llama.cpp's vocabulary file: `make_tokenizer.py VOCABULARY.gguf DIRECTORY`.

llama.cpp keeps that file for its tests. The peer knows tokenizers by a hash of their output and refuses those that are
not in its list, so one of our own would not do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf

SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BEGIN, END = "<|begin_of_text|>", "<|end_of_text|>"


def write_tokenizer(vocabulary: Path, directory: Path) -> None:
    reader = gguf.GGUFReader(vocabulary)
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    types: list[int] = reader.fields["tokenizer.ggml.token_type"].contents()
    merges: list[str] = reader.fields["tokenizer.ggml.merges"].contents()
    control = {i for i, kind in enumerate(types) if kind == gguf.TokenType.CONTROL}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False) | {"special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    begin = {"id": BEGIN, "ids": [tokens.index(BEGIN)], "tokens": [BEGIN]}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": tokens[i]} | flags for i in sorted(control)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": SPLIT_PATTERN}, "behavior": "Isolated", "invert": False},
                byte_level | {"use_regex": False},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {BEGIN: begin},
        },
        "decoder": byte_level | {"use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {token: i for i, token in enumerate(tokens) if i not in control},
            "merges": merges,
        },
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": END}
    write_json(directory / "tokenizer.json", document)
    write_json(directory / "tokenizer_config.json", settings | {"clean_up_tokenization_spaces": False})


def write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    directory = Path(sys.argv[2])
    directory.mkdir()
    write_tokenizer(Path(sys.argv[1]), directory)
