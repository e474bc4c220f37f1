"""Builds tiny tokenizers of the forms that real models have: byte-level BPE by splitter, SentencePiece by its spaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import generate_merges
from transformers.utils import sentencepiece_model_pb2_new as sentencepiece_schema

from tests.tiny_models import CHATML_TEMPLATE, LLAMA_BPE_PATTERN, TOKENIZER_TEXT

_TEXT = [
    *TOKENIZER_TEXT,
    "In 2024 we've 1234567 cafés and I'M not sure THEY'RE open; x+=12!!  two  spaces\n\n\ttabs McDonald iPhone",
    "Où ça ? Größe, naïve, čeština, Ελληνικά, кириллица, 日本語 🙂 ½ €",
]

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

PATTERNS = {
    "llama-bpe": LLAMA_BPE_PATTERN,
    "smaug-bpe": LLAMA_BPE_PATTERN,
    "qwen2": LLAMA_BPE_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}"),
    "tekken": (
        r"[^\r\n\p{L}\p{N}]?"
        + f"{_UPPER}*{_LOWER}+"
        + r"|[^\r\n\p{L}\p{N}]?"
        + f"{_UPPER}+{_LOWER}*"
        + r"|\p{N}"
        + _REST
    ),
    "gpt-4o": (
        r"[^\r\n\p{L}\p{N}]?" + f"{_UPPER}*{_LOWER}+{_CONTRACTION}?"
        r"|[^\r\n\p{L}\p{N}]?" + f"{_UPPER}+{_LOWER}*{_CONTRACTION}?" + r"|\p{N}{1,3}" + _REST
    ),
    "gpt-2": None,
}
"""By llama.cpp's name; GPT-2's is built into the tokenizers library."""


def make_byte_level_tokenizer(name: str, size: int = 416) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_byte_level(name, size)),
        bos_token="<|bos|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        extra_special_tokens=["<|im_start|>"],
        chat_template=CHATML_TEMPLATE,
    )


@cache
def _byte_level(name: str, size: int) -> str:
    pattern = PATTERNS[name]
    bpe = Tokenizer(models.BPE(ignore_merges=name in ("llama-bpe", "tekken")))
    if pattern is None:
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    if name == "qwen2":
        bpe.normalizer = normalizers.NFC()
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|bos|>", "<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_TEXT * 20, trainer)
    serialised: str = bpe.to_str()
    return serialised


Style = Literal["llama", "metaspace", "gemma", "phi3"]
"""`llama`: a space before every text, as Llama 2 and Mistral were first published. `metaspace`: before the first text
only, as transformers 5 rebuilds them. `gemma`: none. `phi3`: as `llama`, and special tokens swallow white space."""

_SPECIAL = ["<unk>", "<s>", "</s>"]
_PHI_3_TURNS = ["<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]


def make_sentencepiece_tokenizer(
    style: Style, template: str = CHATML_TEMPLATE, turns: Sequence[str] = ("<|im_start|>", "<|im_end|>")
) -> PreTrainedTokenizerFast:
    """About 400 pieces with scores and 256 bytes; the merges are derived from the scores as transformers does it.

    The last of `turns` ends one. Phi-3's tokenizer has its own.
    """
    pieces = sentencepieces()
    scores = dict(pieces)
    vocab = {piece: number for number, (piece, _) in enumerate(pieces)}
    merges = generate_merges(vocab, scores, skip_tokens=_SPECIAL)
    bpe = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", "▁")
    if style == "metaspace":
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    elif style == "gemma":
        bpe.normalizer = replace
        bpe.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace])
    bpe.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    swallow = style == "phi3"
    bpe.add_special_tokens([AddedToken(token, normalized=False) for token in ("<unk>", "<s>")])
    bpe.add_tokens([AddedToken("</s>", normalized=False, rstrip=swallow, special=not swallow)])
    turns = _PHI_3_TURNS if swallow else turns
    bpe.add_special_tokens(
        [AddedToken(turn, normalized=False, rstrip=swallow and turn != "<|endoftext|>") for turn in turns]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token=turns[-1],
        unk_token="<unk>",
        pad_token="<unk>",
        chat_template=template,
    )


@cache
def sentencepieces() -> tuple[tuple[str, float], ...]:
    """Pieces with scores in the order of a real tokenizer.model: special ones, bytes, merged pieces, single letters."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Metaspace()
    bpe.train_from_iterator(_TEXT * 20, trainers.BpeTrainer(vocab_size=520, show_progress=False))
    learned = sorted(bpe.get_vocab().items(), key=lambda item: item[1])
    letters = [piece for piece, _ in learned if len(piece) == 1]
    merged = ["▁▁", "▁▁▁▁", *(piece for piece, _ in learned if len(piece) > 1)]
    scored = [(piece, -float(rank)) for rank, piece in enumerate(_in_order([*merged, *letters]))]
    special = [(token, 0.0) for token in [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]]
    return (*special, *scored)


def write_sentencepiece_model(file: Path) -> None:
    """The same pieces as the sentencepiece library keeps them."""
    schema: Any = sentencepiece_schema
    kinds = schema.ModelProto.SentencePiece
    model = schema.ModelProto()
    for number, (text, score) in enumerate(sentencepieces()):
        kind = (
            kinds.NORMAL if number > 258 else kinds.BYTE if number > 2 else kinds.CONTROL if number else kinds.UNKNOWN
        )
        model.pieces.add(piece=text, score=score, type=kind)
    model.trainer_spec.model_type = schema.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.remove_extra_whitespaces = False
    file.write_bytes(model.SerializeToString())


def _in_order(pieces: Iterable[str]) -> Sequence[str]:
    return list(dict.fromkeys(pieces))
