"""The importance matrix is what the trained model's own inputs say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from fragua_exporter.conversion import importance
from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.chat_template import ChatFormat, recognise
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.importance import load_conversations, measure_importance
from fragua_exporter.conversion.trained_tokenizer import TrainedTokenizer
from fragua_platform.errors import InvalidData

ROWS: list[dict[str, Any]] = [
    {
        "id": f"row-{number}",
        "messages": [
            {"role": "user", "content": f"¿Qué hizo el niño el año {number}?"},
            {"role": "assistant", "content": f"Comió {number} piñas."},
        ],
    }
    for number in range(300)
]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), "utf-8")
    return file


@pytest.fixture
def tokenizer(base: Path) -> TrainedTokenizer:
    return TrainedTokenizer(base)


@pytest.fixture
def chat(tokenizer: TrainedTokenizer) -> ChatFormat:
    return recognise(tokenizer.render, tokenizer.bos)


@pytest.fixture
def plan(base: Path) -> ModelPlan:
    return plan_model(open_checkpoint(base))


def test_conversations_are_drawn_by_content_and_hold_prompt_answer_and_end_of_turn(
    dataset: Path, tokenizer: TrainedTokenizer, chat: ChatFormat
) -> None:
    conversations = load_conversations(dataset, tokenizer, chat, 512)
    assert len(conversations) == importance.ROWS
    texts = {
        tokenizer.encode(
            f"<|im_start|>user\n¿Qué hizo el niño el año {n}?<|im_end|>\n"
            f"<|im_start|>assistant\nComió {n} piñas.<|im_end|>"
        )
        for n in range(300)
    }
    assert set(conversations) <= texts
    shuffled = list(reversed(dataset.read_text("utf-8").splitlines(keepends=True)))
    dataset.write_text("".join(shuffled + shuffled), "utf-8")
    assert load_conversations(dataset, tokenizer, chat, 512) == conversations
    assert max(len(c) for c in load_conversations(dataset, tokenizer, chat, 16)) == 16


@pytest.mark.parametrize("line", ["", "{", '{"messages": [{"role": "user", "content": "¿?"}]}', '{"messages": 3}'])
def test_a_row_that_is_no_conversation_is_named(
    dataset: Path, tokenizer: TrainedTokenizer, chat: ChatFormat, line: str
) -> None:
    dataset.write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    with pytest.raises(InvalidData) as refused:
        load_conversations(dataset, tokenizer, chat, 512)
    assert [violation.field for violation in refused.value.violations] == ["train.jsonl line 2"]


def test_importance_is_the_mean_square_of_what_each_column_is_multiplied_with(
    base: Path, adapter: Path, plan: ModelPlan, tmp_path: Path
) -> None:
    conversations = ((5, 6, 7, 8), (9, 10, 11))
    heard: list[int] = []
    measure_importance(base, adapter, plan, conversations, tmp_path / "importance", heard.append)
    measured = load_file(tmp_path / "importance")
    assert heard == [1, 2]
    assert set(measured) == {t.target for t in plan.tensors if len(t.shape) == 2} - {"token_embd.weight"}
    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    with torch.inference_mode():
        first_layer = model.model.layers[0].input_layernorm
        inputs = torch.cat([first_layer(model.model.embed_tokens(torch.tensor(c))) for c in conversations])
        last_of_all = [model(torch.tensor([c]), output_hidden_states=True).hidden_states[1] for c in conversations]
        second = model.model.layers[1].input_layernorm(torch.cat([hidden[0] for hidden in last_of_all]))
    for matrix in ("attn_q", "attn_k", "attn_v"):
        torch.testing.assert_close(measured[f"blk.0.{matrix}.weight"], inputs.square().mean(0))
        torch.testing.assert_close(measured[f"blk.1.{matrix}.weight"], second.square().mean(0), rtol=1e-4, atol=1e-5)
