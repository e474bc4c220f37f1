"""Builds tiny random models and their tokenizer from nothing, so that tests need no download and take seconds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

LLAMA_BPE_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Llama 3's word splitter, which llama.cpp knows as pre-tokenizer `llama-bpe`."""

VOCABULARY_SIZE = 416
SPECIAL_TOKENS = ["<|bos|>", "<|pad|>", "<|im_start|>", "<|im_end|>"]

TOKENIZER_TEXT = [
    "What is the capital of France? The capital of France is Paris.",
    "¿Cuál es la capital de España? La capital de España es Madrid.",
    "El niño pequeño comió piña mañana; la cigüeña voló según el año.",
    "user assistant system topic is place is answer is",
    "A quick brown fox jumps over the lazy dog 0123456789. Two plus two is four.",
    '{"name": "Ana", "age": 7}  x += 12\n\treturn value',
]


def make_tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 416 tokens with ChatML turns; `<|im_end|>` ends a turn and padding has its own token."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained_bpe()),
        bos_token="<|bos|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        extra_special_tokens=["<|im_start|>"],
        chat_template=CHATML_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


@cache
def _trained_bpe() -> str:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_BPE_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TOKENIZER_TEXT * 20, trainer)
    serialised: str = bpe.to_str()
    return serialised


def make_tiny_llama(directory: Path, seed: int, hidden: int = 64, layers: int = 2, strong: bool = False) -> Path:
    """Write a random Llama with its tokenizer as a Hugging Face directory and return it.

    `strong` draws weights large enough that every part of the network moves the answer. The usual small
    initialisation hides a wrong rotation or permutation below the noise, so conversions are compared on strong models.
    """
    torch.manual_seed(seed)
    config = LlamaConfig(**_shape(hidden, layers), head_dim=hidden // 4, tie_word_embeddings=True)
    return _write(LlamaForCausalLM(config), directory, seed, strong)


def make_tiny_phi3(directory: Path, seed: int, hidden: int = 64, layers: int = 2, strong: bool = False) -> Path:
    """The same for Phi-3, whose fused `qkv_proj` and `gate_up_proj` the usual LoRA targets do not match."""
    torch.manual_seed(seed)
    return _write(Phi3ForCausalLM(Phi3Config(**_shape(hidden, layers))), directory, seed, strong)


def _shape(hidden: int, layers: int) -> dict[str, Any]:
    tokenizer = make_tiny_tokenizer()
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": hidden * 2,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _write(model: PreTrainedModel, directory: Path, seed: int, strong: bool) -> Path:
    if strong:
        strengthen(model, seed)
    model.save_pretrained(directory)
    make_tiny_tokenizer().save_pretrained(directory)
    return directory


@torch.no_grad()
def strengthen(model: PreTrainedModel, seed: int) -> None:
    """Draw weights large enough that every part of the network moves the answer."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            parameter.add_(noise * 0.1)
        elif "embed" in name or "lm_head" in name:
            parameter.copy_(noise * 0.5)
        elif name.endswith(".bias"):
            parameter.copy_(noise * 0.3)
        else:
            parameter.copy_(noise * 1.5 / parameter.shape[-1] ** 0.5)
