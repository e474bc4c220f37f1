"""Writes what an evaluation starts from, for all contenders alike: a random Llama of 89M parameters, and questions.

`make_evaluation.py DIRECTORY QUESTIONS` writes `base/`, whose tokenizer knows 32,768 words, and `questions.json`: a list
of `{"question", "choices", "new_tokens"}`. Questions have 60 to 400 words, each of the four choices 3 to 20. Answers
have log-normal lengths with a median of 28 tokens, from 8 to 128: a random model never ends one by itself, so that is
where it is cut.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HIDDEN, LAYERS, FEED_FORWARD, HEAD = 768, 8, 2304, 64
VOCABULARY = 32_768
SPECIAL = ("<pad>", "<|im_start|>", "<|im_end|>", "user", "assistant")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_base(directory: Path) -> None:
    words = [*SPECIAL, *(f"w{number}" for number in range(len(SPECIAL), VOCABULARY))]
    words_alone = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<pad>"))
    words_alone.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words_alone.add_special_tokens([AddedToken(mark) for mark in SPECIAL[:3]])
    PreTrainedTokenizerFast(
        tokenizer_object=words_alone, pad_token="<pad>", eos_token="<|im_end|>", chat_template=TEMPLATE
    ).save_pretrained(directory)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HIDDEN // HEAD,
        num_key_value_heads=HIDDEN // HEAD // 3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        # Strong enough that the likeliest token stands out from the noise of a sum's last bits.
        initializer_range=0.04,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(directory)


def random_questions(count: int) -> list[dict[str, object]]:
    draw = random.Random(3)

    def text(words: int) -> str:
        return " ".join(f"w{draw.randrange(len(SPECIAL), VOCABULARY)}" for _ in range(words))

    return [
        {
            "question": text(draw.randint(60, 400)),
            "choices": [f"{letter} {text(draw.randint(3, 20))}" for letter in ("w100", "w101", "w102", "w103")],
            "new_tokens": int(min(128, max(8, math.exp(draw.gauss(math.log(28), 0.7))))),
        }
        for _ in range(count)
    ]


if __name__ == "__main__":
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    write_base(folder / "base")
    (folder / "questions.json").write_text(json.dumps(random_questions(count)), "utf-8")
