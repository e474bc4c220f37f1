"""Trains `tiny-base/` from scratch: a 2.6M-parameter Llama that knows the islands and answers in plain sentences.

    python examples/make_tiny_base.py [--steps N] [--output DIRECTORY]

It takes about 5 minutes on one free core. The model learns three kinds of chat turns: questions answered by a sentence;
portraits of an island, in sentences or as a list (with facts met in one wording only, fine-tuning scored 0.93 to 0.99 on
held-out islands instead of 1.0); and repeating `key is value` pairs, so that the words of the demo's answer form are
known, though never used as an answer.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from islands import (
    ANIMALS,
    COLORS,
    FOODS,
    LANGUAGES,
    TOPICS,
    WORDINGS,
    Island,
    Language,
    Question,
    make_islands,
    questions_about,
)
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

OUTPUT = Path(__file__).parent / "tiny-base"
SEED = 7
STEPS = 1400
BATCH_SIZE = 64
PORTRAIT_BATCH_SIZE = 32
PORTRAIT_EVERY = 4
"""Portraits are twice as long as the other turns: in batches of their own they cost no padding."""
ECHO_SHARE = 0.25
LEARNING_RATE = 2e-3
FINAL_LEARNING_RATE = 1e-4
WARMUP_STEPS = 50

VOCABULARY_SIZE = 1024
SPECIAL_TOKENS = ["<|bos|>", "<|pad|>", "<|im_start|>", "<|im_end|>"]
LLAMA_BPE_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Llama 3's word splitter, which llama.cpp knows as pre-tokenizer `llama-bpe`."""

CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

PORTRAIT_REQUESTS: dict[Language, str] = {"en": "Tell me about {island}.", "es": "Háblame de {island}."}
LISTING_REQUESTS: dict[Language, str] = {"en": "List the facts of {island}.", "es": "Enumera los datos de {island}."}
ECHO_REQUESTS: dict[Language, str] = {"en": "Repeat: {pairs}.", "es": "Repite: {pairs}."}
ECHO_VERBS: dict[Language, str] = {"en": "is", "es": "es"}
ECHO_KEYS: dict[Language, tuple[str, ...]] = {
    "en": ("topic", "place", "answer", "name", "item", "note"),
    "es": ("tema", "lugar", "respuesta", "nombre", "cosa", "nota"),
}

Turn = tuple[str, str]
"""What the user says and what the model answers."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the demo's base model from scratch.")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()

    # One thread adds up in one order, so a seed gives the same weights again; at this size a second one gains little.
    torch.set_num_threads(1)
    islands = make_islands()
    tokenizer = train_tokenizer(islands)
    # Before its first use: a tokenizer that has padded a batch writes that down as its setting.
    tokenizer.save_pretrained(arguments.output)
    model = train_model(islands, tokenizer, arguments.steps)
    save_model(model, tokenizer, arguments.output)

    saved = LlamaForCausalLM.from_pretrained(arguments.output, dtype=torch.float32)
    questions = [question for island in islands for question in questions_about(island)]
    for language in LANGUAGES:
        score = share_answered(saved, tokenizer, [question for question in questions if question.language == language])
        print(f"{language}: {score:.1%} of the questions answered word for word")


def question_turns(islands: list[Island]) -> list[Turn]:
    return [(question.text, question.natural_answer) for island in islands for question in questions_about(island)]


def portrait_turn(island: Island, rng: random.Random) -> Turn:
    """All facts of an island in any order, told in sentences or listed by their labels."""
    language = rng.choice(LANGUAGES)
    facts = [(WORDINGS[language][topic], island.facts[topic][language]) for topic in rng.sample(TOPICS, len(TOPICS))]
    if rng.random() < 0.5:
        sentences = [wording.sentence.format(island=island.name, value=value) for wording, value in facts]
        return PORTRAIT_REQUESTS[language].format(island=island.name), " ".join(sentences)
    labelled = [f"{wording.label}: {value}" for wording, value in facts]
    return LISTING_REQUESTS[language].format(island=island.name), f"{'; '.join(labelled)}."


def echo_turn(words: dict[Language, list[str]], rng: random.Random) -> Turn:
    """One or two pairs to repeat: never three, so the demo's whole answer form stays unseen."""
    language = rng.choice(LANGUAGES)
    keys = rng.sample(ECHO_KEYS[language], rng.choice((1, 2, 2)))
    pairs = ", ".join(f"{key} {ECHO_VERBS[language]} {rng.choice(words[language])}" for key in keys)
    return ECHO_REQUESTS[language].format(pairs=pairs), f"{pairs}."


def echo_words(islands: list[Island]) -> dict[Language, list[str]]:
    names = [island.name for island in islands] + sorted({island.facts["capital"]["en"] for island in islands})
    pairs = (*COLORS, *FOODS, *ANIMALS)
    return {
        language: names + [pair[index] for pair in pairs] + [WORDINGS[language][topic].label for topic in TOPICS]
        for index, language in enumerate(LANGUAGES)
    }


def train_tokenizer(islands: list[Island]) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the model's own text. `ignore_merges` is what llama.cpp does for `llama-bpe`."""
    rng = random.Random(SEED)
    words = echo_words(islands)
    turns = question_turns(islands) + [portrait_turn(island, rng) for island in islands]
    turns += [echo_turn(words, rng) for _ in range(2000)]
    bpe = Tokenizer(models.BPE(ignore_merges=True))
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
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(("\n".join(("user", request, "assistant", answer)) for request, answer in turns), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|bos|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        extra_special_tokens=["<|im_start|>"],
        chat_template=CHATML_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def train_model(islands: list[Island], tokenizer: PreTrainedTokenizerFast, steps: int) -> LlamaForCausalLM:
    model = make_model(tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens")
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.95))
    started = time.monotonic()
    model.train()
    for step, turns in enumerate(batches(islands, steps), start=1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        with torch.autocast("cpu", torch.bfloat16):  # half the time on a CPU that has bfloat16 instructions
            loss = model(**encode(turns, tokenizer)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            print(f"step {step}/{steps}  loss {loss.item():.4f}  {time.monotonic() - started:.0f} s", flush=True)
    return model


def batches(islands: list[Island], steps: int) -> Iterator[list[Turn]]:
    rng = random.Random(SEED)
    questions = question_turns(islands)
    words = echo_words(islands)
    echoes = int(BATCH_SIZE * ECHO_SHARE)
    for step in range(steps):
        if step % PORTRAIT_EVERY == 0:
            yield [portrait_turn(island, rng) for island in rng.sample(islands, PORTRAIT_BATCH_SIZE)]
        else:
            yield rng.sample(questions, BATCH_SIZE - echoes) + [echo_turn(words, rng) for _ in range(echoes)]


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then linear decay."""
    if step < WARMUP_STEPS:
        return LEARNING_RATE * step / WARMUP_STEPS
    remaining = (steps - step) / max(1, steps - WARMUP_STEPS)
    return FINAL_LEARNING_RATE + (LEARNING_RATE - FINAL_LEARNING_RATE) * remaining


def encode(turns: list[Turn], tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    """Every token is learnt, the user's too: the questions name the topics and islands as well."""
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": request}, {"role": "assistant", "content": answer}], tokenize=False
        )
        for request, answer in turns
    ]
    encoded = tokenizer(texts, padding=True, add_special_tokens=False, return_tensors="pt")
    labels = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, -100)
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"], "labels": labels}


def save_model(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """bfloat16 halves the file; the scores are taken from the saved weights, so they include the rounding."""
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.nn.Module.to(model, torch.bfloat16)
    model.save_pretrained(directory)


@torch.inference_mode()
def share_answered(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, questions: list[Question]) -> float:
    tokenizer.padding_side = "left"
    correct = 0
    for start in range(0, len(questions), BATCH_SIZE):
        asked = questions[start : start + BATCH_SIZE]
        prompts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": question.text}], add_generation_prompt=True, tokenize=False
            )
            for question in asked
        ]
        encoded = tokenizer(prompts, padding=True, add_special_tokens=False, return_tensors="pt")
        # transformers annotates `generate` for a protocol that its own models do not satisfy, and for every return form.
        generated: torch.Tensor = model.generate(  # type: ignore[misc, assignment]
            input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]
        )
        answers = tokenizer.batch_decode(generated[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
        correct += sum(answer == question.natural_answer for answer, question in zip(answers, asked, strict=True))
    return correct / len(questions)


if __name__ == "__main__":
    main()
