"""Recognises the family of a model's chat template by what it prints, so that Ollama can be given the same turns.

A wrong template is the commonest fault of exported models: they talk to themselves or never stop. Jinja cannot be
translated to Ollama's templates in general, so the model's own template is rendered on a few conversations and must
print exactly what the family prints. A template that prints anything else is refused, never approximated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jinja2

from fragua_platform.errors import InvalidInput

Message = dict[str, str]
Render = Callable[[Sequence[Message]], str]
"""Prints a conversation and opens the assistant's turn."""


@dataclass(frozen=True)
class TemplateFamily:
    name: str
    render: Render
    ollama_template: str
    """The same turns in Go's template language, as Ollama's TEMPLATE."""
    end_of_turn: str
    """The token with which the model ends its own turn."""
    stops: tuple[str, ...]
    """What no answer may hold; `end_of_turn` is one of them."""


def _render_chatml(messages: Sequence[Message]) -> str:
    turns = (f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)
    return "".join(turns) + "<|im_start|>assistant\n"


CHATML = TemplateFamily(
    name="chatml",
    render=_render_chatml,
    # The assistant's turn stays open when a conversation ends with it: Ollama's way to let the model go on.
    ollama_template=(
        "{{- range $i, $_ := .Messages }}\n"
        "{{- $last := eq (len (slice $.Messages $i)) 1 }}<|im_start|>{{ .Role }}\n"
        '{{ .Content }}{{ if not (and $last (eq .Role "assistant")) }}<|im_end|>\n'
        "{{ end }}\n"
        '{{- if and $last (ne .Role "assistant") }}<|im_start|>assistant\n'
        "{{ end }}\n"
        "{{- end }}"
    ),
    end_of_turn="<|im_end|>",
    stops=("<|im_start|>", "<|im_end|>"),
)

FAMILIES = (CHATML,)

_SYSTEM = {"role": "system", "content": "Responde en español.\nSé breve."}
_QUESTION = {"role": "user", "content": "¿Qué es una ordenación?"}
_ANSWER = {"role": "assistant", "content": "Poner cosas en orden: 1 < 2."}
_FOLLOW_UP = {"role": "user", "content": "Gracias. ¿Y en código?\n\n\tx = sorted(x)"}

CONVERSATIONS: tuple[tuple[Message, ...], ...] = (
    (_QUESTION,),
    (_SYSTEM, _QUESTION),
    (_QUESTION, _ANSWER, _FOLLOW_UP),
    (_SYSTEM, _QUESTION, _ANSWER, _FOLLOW_UP),
)
"""Each shape that Ollama sends: with and without a system prompt, first and later turns."""


def recognise(render: Render) -> TemplateFamily:
    """`render` is the model's own template; raises InvalidInput unless it is one of the families to the letter."""
    for family in FAMILIES:
        if all(_prints(render, conversation) == family.render(conversation) for conversation in CONVERSATIONS):
            return family
    raise InvalidInput(
        f"base model: its chat template is none of {', '.join(f.name for f in FAMILIES)}; for a question it prints "
        f"{(_prints(render, CONVERSATIONS[0]) or '')[:200]!r}; train on a base with a supported template",
        reason="UNSUPPORTED_CHAT_TEMPLATE",
    )


def without_training_marks(template: str) -> str:
    """Replace `{% generation %}`, which transformers alone understands, so that other programs can read the template.

    A tag that does nothing goes in its place, because the dashes of a tag also trim the text around it.
    """
    template = re.sub(r"\{%(-?)\s*generation\s*(-?)%\}", r"{%\1 if true \2%}", template)
    return re.sub(r"\{%(-?)\s*endgeneration\s*(-?)%\}", r"{%\1 endif \2%}", template)


def _prints(render: Render, conversation: Sequence[Message]) -> str | None:
    try:
        return render(conversation)
    except jinja2.TemplateError:  # Templates refuse roles that they do not know, and some are simply broken.
        return None
