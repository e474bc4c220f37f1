"""A template that came with a model can neither hold up a job nor take the machine's memory, whoever prints with it."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fragua_dataset.ingestion.tokens import Truncation
from fragua_evaluator.scoring.targets.gguf_chat import GgufChat
from fragua_evaluator.scoring.targets.local.chat import open_chat
from fragua_exporter.conversion.chat_template import recognise
from fragua_exporter.conversion.trained_tokenizer import TrainedTokenizer
from fragua_platform import foreign_code
from fragua_platform.errors import InvalidInput
from fragua_platform.foreign_code import CHAT_TEMPLATE
from fragua_trainer.training.chat_text import render_chat
from tests.tiny_models import CHATML_TEMPLATE, make_tiny_tokenizer

QUESTION = {"role": "user", "content": "¿Qué comió el niño?"}
ANSWER = {"role": "assistant", "content": "Piña."}

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
POWER = "{{ 10 ** (10 ** 10) }}"
HUGE = "{{ 'ñ' * 10 ** 10 }}"
DOUBLED = (
    "{% set all = namespace(text='niño') %}{% for i in range(60) %}{% set all.text = all.text ~ all.text %}{% endfor %}"
)
LONG = "{% for i in range(9999) %}{{ 'muchísimas palabras ' * 200 }}{% endfor %}"


@pytest.fixture(autouse=True)
def little_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_code, "SECONDS", 0.3)
    monkeypatch.setattr(foreign_code, "MEMORY_BYTES", 1 << 27)


def saved(folder: Path, template: str) -> Path:
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def export(folder: Path) -> None:
    tokenizer = TrainedTokenizer(folder)
    recognise(tokenizer.render, tokenizer.bos)


def train(folder: Path) -> None:
    render_chat(TrainedTokenizer(folder)._tokenizer, [QUESTION, ANSWER])


def evaluate(folder: Path) -> None:
    open_chat(folder)


def evaluate_file(folder: Path) -> None:
    template = str(TrainedTokenizer(folder).chat_template)
    GgufChat(SimpleNamespace(metadata=lambda _: template, name="m.gguf", begin="", end="<|im_end|>"))  # type: ignore[arg-type]


def count_tokens(folder: Path) -> None:
    Truncation(folder, max_length=64).add([QUESTION, ANSWER])


@pytest.mark.parametrize(
    "template", [ENDLESS, POWER, HUGE, DOUBLED, LONG], ids=["loop", "power", "huge", "doubled", "long"]
)
@pytest.mark.parametrize("ask", [export, train, evaluate, evaluate_file, count_tokens], ids=lambda ask: ask.__name__)
def test_a_template_without_end_is_refused_by_name(ask: Callable[[Path], None], template: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, template + CHATML_TEMPLATE)
    with pytest.raises(
        InvalidInput, match=r"chat template (did not end within|takes more than|prints [0-9,]+)"
    ) as refused:
        ask(folder)
    assert refused.value.reason == "UNSUPPORTED_CHAT_TEMPLATE"


def test_what_is_within_the_limits_leaves_no_trace() -> None:
    before = limits()
    assert CHAT_TEMPLATE.run(lambda: "año") == "año"
    with pytest.raises(ZeroDivisionError):
        CHAT_TEMPLATE.run(lambda: 1 // 0)
    with pytest.raises(InvalidInput):
        CHAT_TEMPLATE.run(lambda: [None] * 10**10)
    assert limits() == before


def limits() -> tuple[Any, ...]:
    return (
        resource.getrlimit(resource.RLIMIT_AS),
        signal.getitimer(signal.ITIMER_VIRTUAL),
        signal.getsignal(signal.SIGVTALRM),
    )
