"""Writes what a fine-tune starts from, for all contenders alike: a random Llama of 0.02-normal weights and random rows.

`make_fine_tune.py DIRECTORY VOCABULARY ROWS` writes `base/` and `rows.json`, a list of `{"tokens", "prompt"}` where
`prompt` counts the leading tokens that are not supervised. Prompts and answers have log-normal lengths, medians 120 and
150 tokens, as instruction data has them.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

HIDDEN, LAYERS, FEED_FORWARD, HEAD = 512, 8, 2048, 64
FIRST_WORD = 3
"""The tokens below are padding, begin and end."""


def write_base(directory: Path, vocabulary: int) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HIDDEN // HEAD,
        num_key_value_heads=HIDDEN // HEAD // 2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(directory)


def random_rows(count: int, vocabulary: int) -> list[dict[str, object]]:
    draw = random.Random(1)

    def length(median: int, longest: int) -> int:
        return int(min(longest, max(50, math.exp(draw.gauss(math.log(median), 0.6)))))

    rows: list[dict[str, object]] = []
    for _ in range(count):
        prompt, answer = length(120, 400), length(150, 500)
        rows.append(
            {"tokens": [draw.randrange(FIRST_WORD, vocabulary) for _ in range(prompt + answer)], "prompt": prompt}
        )
    return rows


if __name__ == "__main__":
    folder, vocabulary, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    write_base(folder / "base", vocabulary)
    (folder / "rows.json").write_text(json.dumps(random_rows(count, vocabulary)), "utf-8")
