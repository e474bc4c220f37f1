"""Chat templates are recognised by what they print, and Ollama is given the same turns token for token."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2
import pytest
from transformers import PreTrainedTokenizerFast

from fragua_exporter.conversion.chat_template import (
    CONVERSATIONS,
    FAMILIES,
    ChatFormat,
    Conversation,
    Message,
    SystemPrompt,
    recognise,
    without_training_marks,
)
from fragua_exporter.conversion.trained_tokenizer import TEMPLATE_DATE
from fragua_platform.errors import InvalidInput
from tests.tiny_models import CHATML_TEMPLATE, make_tiny_tokenizer
from tests.unit.fragua_exporter.chat_templates import PUBLISHED, PublishedTemplate

PLAIN_CHATML = (
    "{%- for message in messages -%}\n  {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' -}}"
    "\n{%- endfor -%}{{- '<|im_start|>assistant\\n' if add_generation_prompt -}}"
)

OTHER_CONVERSATIONS: tuple[Conversation, ...] = (
    ({"role": "user", "content": "Corrige: «el niño comió piñas»; ¿está bien?"},),
    (
        {"role": "system", "content": "Eres un tutor de Ñuñoa.\n\n- Explica con analogías.\n- Comenta el código."},
        {
            "role": "user",
            "content": "def f(x):\n    return {'a': x[0] ** 2, \"b\": not x}\n\n\tif x != 1_000:\r\n\t\tpass",
        },
        {"role": "assistant", "content": "```python\n# cigüeña\nprint('¡olé!')\n```"},
        {"role": "user", "content": "¿Y {{ .System }}, {% if %} o $x? 100 % & <br>"},
        {"role": "assistant", "content": "Texto, sin más."},
        {"role": "user", "content": "日本語 🙂👍🏽 ½ €"},
    ),
)


def render_with(template: str, conversation: Sequence[Message]) -> str:
    return str(jinja2.Template(template).render(messages=conversation, add_generation_prompt=True))


def format_of(tokenizer: PreTrainedTokenizerFast) -> ChatFormat:
    def render(messages: Sequence[Message]) -> str:
        return str(
            tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True, date_string=TEMPLATE_DATE
            )
        )

    return recognise(render, str(tokenizer.bos_token))


# R191
@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
def test_a_published_template_is_known_with_its_stops_and_the_place_of_its_system_prompt(
    published: PublishedTemplate,
) -> None:
    found = format_of(published.tokenizer())
    family = next(family for family in FAMILIES if family.name == published.family)
    assert (found.name, found.stops, found.end_of_turn) == (family.name, family.stops, family.end_of_turn)
    assert found.end_of_turn in found.stops
    assert (found.system_prompt, found.trims) == (published.system_prompt, published.trims)


# R192
@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
def test_ollama_shows_the_model_the_tokens_that_training_showed_it(published: PublishedTemplate) -> None:
    tokenizer = published.tokenizer()
    chat = format_of(tokenizer)
    for conversation in filter(published.takes, (*CONVERSATIONS, *OTHER_CONVERSATIONS)):
        trained = tokenizer.apply_chat_template(
            list(conversation), add_generation_prompt=True, date_string=TEMPLATE_DATE, return_dict=False
        )
        assert tokenizer(chat.render(conversation), add_special_tokens=False)["input_ids"] == trained


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
def test_a_conversation_that_ends_with_the_assistant_leaves_its_turn_open(published: PublishedTemplate) -> None:
    chat = format_of(published.tokenizer())
    question, answer = CONVERSATIONS[2][0], {"role": "assistant", "content": "Empieza con"}
    assert chat.render((question, answer)).endswith("Empieza con")


# R194
@pytest.mark.parametrize(
    ("model", "printed"),
    [
        ("gemma 2", "<bos><start_of_turn>user\nSé breve.\n\n¿Qué?<end_of_turn>\n<start_of_turn>model\n"),
        ("mistral 0.1", "<s>[INST] Sé breve.\n\n¿Qué? [/INST]"),
    ],
)
def test_a_system_prompt_goes_before_the_first_question_where_the_model_knows_none(model: str, printed: str) -> None:
    chat = format_of(PUBLISHED[model].tokenizer())
    assert chat.system_prompt is SystemPrompt.NEVER
    assert chat.render(({"role": "system", "content": "Sé breve."}, {"role": "user", "content": "¿Qué?"})) == printed


def test_the_template_that_training_uses_is_chatml() -> None:
    assert format_of(make_tiny_tokenizer()).name == "chatml"


def test_the_same_turns_written_another_way_are_chatml() -> None:
    assert recognise(lambda messages: render_with(PLAIN_CHATML, messages)).name == "chatml"


@pytest.mark.parametrize(
    "template",
    [
        "<s>" + PLAIN_CHATML,
        "Be kind." + PLAIN_CHATML,
        "{% if messages[0].role != 'system' %}<|im_start|>system\n{{ '{{ .System }}' }}<|im_end|>\n{% endif %}"
        + PLAIN_CHATML,
        PLAIN_CHATML.replace("<|im_end|>", "<|end|>"),
        PLAIN_CHATML.replace("message.content", "message.content|upper"),
        PLAIN_CHATML.replace("messages -%}", "messages if message.role != 'system' -%}"),
        "{{ messages[-1].content }}",
        "{{ raise_exception('no') }}",
        "{{ 1 // 0 }}",
    ],
    ids=[
        "begins with a token of another tokenizer",
        "begins with words",
        "default text that Go would run",
        "other stop",
        "changes texts",
        "forgets the system prompt",
        "no turns at all",
        "broken",
        "computes what cannot be",
    ],
)
# R192
def test_a_template_that_prints_anything_else_is_refused(template: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        recognise(lambda messages: render_with(template, messages))
    assert refused.value.reason == "UNSUPPORTED_CHAT_TEMPLATE"


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_without_training_marks_a_template_prints_the_same_in_plain_jinja(conversation: Conversation) -> None:
    printed = render_with(without_training_marks(CHATML_TEMPLATE), conversation)
    assert printed == render_with(PLAIN_CHATML, conversation)


def test_the_white_space_control_of_a_training_mark_survives() -> None:
    template = "a {%- generation -%} b {%- endgeneration %} c"
    assert jinja2.Template(without_training_marks(template)).render() == "ab c"
