"""Answers given many at a time are those given one at a time, in transformers and in llama.cpp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from fragua_exporter.conversion.adapter_file import write_adapter
from fragua_exporter.conversion.answering import answer_in_llama_cpp, answer_in_transformers
from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.merge import load_adapter
from fragua_platform.jobs.engine import Interrupted
from tests.tiny_models import make_tiny_tokenizer
from tests.unit.fragua_exporter.adapters import make_adapter
from tests.unit.fragua_exporter.conversions import convert

QUESTIONS = [
    tuple(make_tiny_tokenizer().encode(f"¿Cuál es la capital de {place}?" * repeated))
    for repeated in (1, 4, 2)
    for place in ("España", "Francia", "la Tierra Media", "ese país")
]
UNSAID = 1
"""The padding token."""


@pytest.fixture(scope="module")
def model(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def stops(model: Any) -> tuple[int, ...]:
    """Tokens that this random model says now and then, so that answers end at different steps."""
    [first, *_, last] = answer_in_transformers(model, QUESTIONS, 20, [UNSAID])
    return first[5], last[9], UNSAID


@pytest.fixture(scope="module")
def one_by_one(model: Any, stops: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [answer_in_transformers(model, [question], 20, stops)[0] for question in QUESTIONS]


def test_answers_end_at_a_stop_or_at_the_limit(one_by_one: list[tuple[int, ...]], stops: tuple[int, ...]) -> None:
    lengths = {len(answer) for answer in one_by_one}
    assert max(lengths) == 20
    assert len(lengths) > 2, "every answer has the same length: this tests nothing"
    assert all(len(answer) == 20 or answer[-1] in stops for answer in one_by_one)
    assert not any(token in stops for answer in one_by_one for token in answer[:-1])


def test_transformers_answers_a_batch_as_it_answers_each_question(
    model: Any, one_by_one: list[tuple[int, ...]], stops: tuple[int, ...]
) -> None:
    assert answer_in_transformers(model, QUESTIONS, 20, stops) == one_by_one


@pytest.fixture
def file(base: Path, tmp_path: Path) -> Iterator[llama_cpp.Llama]:
    loaded = llama_cpp.Llama(str(convert(base, tmp_path / "tiny.gguf")), n_ctx=64, verbose=False)
    yield loaded
    loaded.close()


def test_llama_cpp_answers_a_batch_as_transformers_does(
    file: llama_cpp.Llama, one_by_one: list[tuple[int, ...]], stops: tuple[int, ...]
) -> None:
    assert answer_in_llama_cpp(file, QUESTIONS, 20, stops, lambda: None) == one_by_one


def test_an_adapter_beside_the_file_answers_as_well(base: Path, tmp_path: Path, model: Any) -> None:
    """Answers at a time need a context of their own, and llama.cpp knows adapters by context."""
    trained = make_adapter(base, tmp_path / "adapter")
    plan = plan_model(open_checkpoint(base))
    write_adapter(tmp_path / "adapter.gguf", plan, load_adapter(trained, plan))
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), trained).eval()
    expected = answer_in_transformers(tuned, QUESTIONS, 8, [UNSAID])
    assert expected != answer_in_transformers(model, QUESTIONS, 8, [UNSAID])
    file, lora = str(convert(base, tmp_path / "tiny.gguf")), str(tmp_path / "adapter.gguf")
    loaded = llama_cpp.Llama(file, lora_path=lora, n_ctx=64, verbose=False)
    try:
        assert answer_in_llama_cpp(loaded, QUESTIONS, 8, [UNSAID], lambda: None) == expected
    finally:
        loaded.close()


def test_a_batch_that_is_told_to_stop_ends_at_once(file: llama_cpp.Llama) -> None:
    steps = iter(range(3))

    def stop_at_the_third() -> None:
        if next(steps) == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        answer_in_llama_cpp(file, QUESTIONS, 20, (), stop_at_the_third)
    assert next(steps, None) is None
