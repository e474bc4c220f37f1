"""Chat templates are recognised by what they print; what prints anything else is refused."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2
import pytest

from fragua_exporter.conversion.chat_template import CHATML, CONVERSATIONS, Message, recognise, without_training_marks
from fragua_platform.errors import InvalidInput
from tests.tiny_models import CHATML_TEMPLATE, make_tiny_tokenizer

PLAIN_CHATML = (
    "{%- for message in messages -%}\n  {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' -}}"
    "\n{%- endfor -%}{{- '<|im_start|>assistant\\n' if add_generation_prompt -}}"
)


def render_with(template: str, conversation: Sequence[Message]) -> str:
    return str(jinja2.Template(template).render(messages=conversation, add_generation_prompt=True))


def test_the_template_that_training_uses_is_chatml() -> None:
    tokenizer = make_tiny_tokenizer()
    family = recognise(
        lambda messages: str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))
    )
    assert family is CHATML


def test_the_same_turns_written_another_way_are_chatml() -> None:
    assert recognise(lambda messages: render_with(PLAIN_CHATML, messages)) is CHATML


@pytest.mark.parametrize(
    "template",
    [
        "<s>" + PLAIN_CHATML,
        "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}" + PLAIN_CHATML,
        PLAIN_CHATML.replace("<|im_end|>", "<|end|>"),
        "{{ raise_exception('no') }}",
    ],
    ids=["begins with a token", "adds a system prompt", "other stop", "broken"],
)
# R192
def test_a_template_that_prints_anything_else_is_refused(template: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        recognise(lambda messages: render_with(template, messages))
    assert refused.value.reason == "UNSUPPORTED_CHAT_TEMPLATE"


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_without_training_marks_a_template_prints_the_same_in_plain_jinja(conversation: tuple[Message, ...]) -> None:
    assert render_with(without_training_marks(CHATML_TEMPLATE), conversation) == CHATML.render(conversation)


def test_the_white_space_control_of_a_training_mark_survives() -> None:
    template = "a {%- generation -%} b {%- endgeneration %} c"
    assert jinja2.Template(without_training_marks(template)).render() == "ab c"
