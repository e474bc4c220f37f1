"""Writes what an evaluation starts from, for all contenders alike: a random Llama of 80M parameters, and questions.

`make_evaluation.py DIRECTORY choose|generate QUESTIONS` writes `base/`, whose tokenizer knows 32,768 words, and
`questions.json`, a list. To choose: `{"question", "choices"}`, 60 to 400 words and four choices of 3 to 20 words. To
generate: `{"question", "new_tokens"}`, 40 to 200 words, and answers of log-normal length with a median of 60 tokens, from 8
to 200. A random model never ends an answer by itself, so that is where it is cut.
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


def random_questions(task: str, count: int) -> list[dict[str, object]]:
    draw = random.Random(3)

    def text(shortest: int, longest: int) -> str:
        words = draw.randint(shortest, longest)
        return " ".join(f"w{draw.randrange(len(SPECIAL), VOCABULARY)}" for _ in range(words))

    if task == "choose":
        return [
            {"question": text(60, 400), "choices": [f"w{100 + choice} {text(2, 19)}" for choice in range(4)]}
            for _ in range(count)
        ]
    lengths = (int(min(200, max(8, math.exp(draw.gauss(math.log(60), 0.7))))) for _ in range(count))
    return [{"question": text(40, 200), "new_tokens": length} for length in lengths]


if __name__ == "__main__":
    folder, task, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    write_base(folder / "base")
    (folder / "questions.json").write_text(json.dumps(random_questions(task, count)), "utf-8")
