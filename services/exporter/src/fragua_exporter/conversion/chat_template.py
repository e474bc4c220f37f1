"""Recognises the family of a model's chat template by what it prints, so that Ollama can be given the same turns.

A wrong template is the commonest fault of exported models: they talk to themselves or never stop. Jinja cannot be
translated to Ollama's templates in general. So each family is written here as marks around turns, a TEMPLATE is built of
them, and that TEMPLATE must print exactly what the model's own template prints for every shape of conversation. A
template that prints anything else is refused, never approximated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fragua_exporter.conversion.go_template import GoTemplate
from fragua_exporter.conversion.go_values import GoTemplateError
from fragua_platform.errors import FraguaError, InvalidInput

Message = dict[str, str]
Conversation = tuple[Message, ...]
Render = Callable[[Sequence[Message]], str]
"""Prints a conversation and opens the assistant's turn."""


@dataclass(frozen=True)
class Marks:
    """What stands before and after each turn."""

    user: tuple[str, str]
    assistant: tuple[str, str]
    opening: str
    """What makes the assistant speak; not always what stands before its turn in the history."""
    system: tuple[str, str] | None = None
    """None: the family has no such turn, and the text goes into a turn of the user."""


@dataclass(frozen=True)
class TemplateFamily:
    name: str
    spellings: tuple[Marks, ...]
    """Models of one family differ in spaces, and a space is another token."""
    end_of_turn: str
    """The token with which the model ends its own turn."""
    stops: tuple[str, ...]
    """What no answer may hold; `end_of_turn` is one of them."""


def _named_turns(opening: str, closing: str) -> Marks:
    """Marks of families that write the role's own name: `opening` holds it as ROLE."""
    user, assistant, system = (opening.replace("ROLE", role) for role in ("user", "assistant", "system"))
    return Marks((user, closing), (assistant, closing), assistant, (system, closing))


CHATML = TemplateFamily(
    name="chatml",
    spellings=(_named_turns("<|im_start|>ROLE\n", "<|im_end|>\n"),),
    end_of_turn="<|im_end|>",
    stops=("<|im_start|>", "<|im_end|>"),
)
PHI_3 = TemplateFamily(
    name="phi-3",
    spellings=(_named_turns("<|ROLE|>\n", "<|end|>\n"), _named_turns("<|ROLE|>", "<|end|>")),
    end_of_turn="<|end|>",
    stops=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
)
LLAMA_3 = TemplateFamily(
    name="llama-3",
    spellings=(_named_turns("<|start_header_id|>ROLE<|end_header_id|>\n\n", "<|eot_id|>"),),
    end_of_turn="<|eot_id|>",
    stops=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
)
MISTRAL = TemplateFamily(
    name="mistral",
    spellings=(
        Marks(("[INST] ", " [/INST]"), ("", "</s>"), ""),
        Marks(("[INST] ", " [/INST]"), ("", "</s> "), ""),
        Marks((" [INST] ", " [/INST]"), (" ", "</s>"), ""),
        Marks(("[INST] ", "[/INST]"), (" ", "</s>"), ""),
        Marks(("[INST]", "[/INST]"), ("", "</s>"), ""),
        Marks(("[INST]", "[/INST]"), ("", "</s>"), "", ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")),
    ),
    end_of_turn="</s>",
    stops=("[INST]", "[/INST]", "</s>"),
)
GEMMA = TemplateFamily(
    name="gemma",
    spellings=(
        Marks(
            ("<start_of_turn>user\n", "<end_of_turn>\n"),
            ("<start_of_turn>model\n", "<end_of_turn>\n"),
            "<start_of_turn>model\n",
        ),
    ),
    end_of_turn="<end_of_turn>",
    stops=("<start_of_turn>", "<end_of_turn>"),
)

FAMILIES = (CHATML, PHI_3, LLAMA_3, MISTRAL, GEMMA)


class SystemPrompt(StrEnum):
    """Where a model was shown its instructions."""

    OWN_TURN = "own turn"
    DEFAULT_TURN = "own turn, with a text of the model's own when none is given"
    FRAMED_TURN = "own turn, always there, after a text of the model's own"
    FIRST_QUESTION = "before the first question"
    LAST_QUESTION = "before the last question"
    NEVER = "before the first question, though the model's own template refuses one"


@dataclass(frozen=True)
class ChatFormat:
    """How to talk to one model through Ollama."""

    name: str
    """The family's."""
    template: str
    """The turns in Go's template language, as Ollama's TEMPLATE."""
    end_of_turn: str
    stops: tuple[str, ...]
    system_prompt: SystemPrompt
    trims: bool
    """The model's own template strips white space around every text, which Go's cannot."""

    def as_shown(self, text: str) -> str:
        """A text as the model's own template would show it."""
        return text.strip() if self.trims else text

    def render(self, messages: Sequence[Message]) -> str:
        """What Ollama sends to the model, letter by letter; opens the assistant's turn."""
        return _render_as_ollama(GoTemplate(self.template), messages)


_SYSTEM = {"role": "system", "content": "Responde en español.\nSé breve."}
_QUESTION = {"role": "user", "content": "¿Qué es una ordenación?"}
_ANSWER = {"role": "assistant", "content": "Poner cosas en orden: 1 < 2."}
_FOLLOW_UP = {"role": "user", "content": "Gracias. ¿Y en código?\n\n\tx = sorted(x)"}
_CODE = {"role": "assistant", "content": "Así:\n\n```python\nx.sort()  # en su sitio\n```"}
_LAST = {"role": "user", "content": '¿Y "{{ .Content }}" al revés? <b>&amp;</b> 🙂'}

CONVERSATIONS: tuple[Conversation, ...] = (
    (_QUESTION,),
    (_SYSTEM, _QUESTION),
    (_QUESTION, _ANSWER, _FOLLOW_UP),
    (_SYSTEM, _QUESTION, _ANSWER, _FOLLOW_UP),
    (_SYSTEM, _QUESTION, _ANSWER, _FOLLOW_UP, _CODE, _LAST),
)
"""Each shape that Ollama sends: with and without a system prompt, first and later turns."""

_PADDED_QUESTION = {"role": "user", "content": f" {_QUESTION['content']}\n"}


def recognise(render: Render, bos: str = "") -> ChatFormat:
    """`render` is the model's own template; raises InvalidInput unless it is one of the families to the letter.

    `bos` is the tokenizer's begin of text, which some templates print and others do not.
    """
    printed = {index: _prints(render, conversation) for index, conversation in enumerate(CONVERSATIONS)}
    question = printed[0] or ""
    begin = bos if bos and question.startswith(bos) else ""
    for family in FAMILIES:
        for marks in family.spellings:
            for system_prompt, template in _candidates(marks, begin, question):
                if _prints_the_same(template, printed, system_prompt):
                    trims = _prints(render, (_PADDED_QUESTION,)) == question
                    return ChatFormat(family.name, template, family.end_of_turn, family.stops, system_prompt, trims)
    raise InvalidInput(
        f"base model: its chat template is none of {', '.join(f.name for f in FAMILIES)}; for a question it prints "
        f"{question[:200]!r}; train on a base with a supported template",
        reason="UNSUPPORTED_CHAT_TEMPLATE",
    )


def without_training_marks(template: str) -> str:
    """Replace `{% generation %}`, which transformers alone understands, so that other programs can read the template.

    A tag that does nothing goes in its place, because the dashes of a tag also trim the text around it.
    """
    template = re.sub(r"\{%(-?)\s*generation\s*(-?)%\}", r"{%\1 if true \2%}", template)
    return re.sub(r"\{%(-?)\s*endgeneration\s*(-?)%\}", r"{%\1 endif \2%}", template)


def _candidates(marks: Marks, begin: str, question: str) -> Iterator[tuple[SystemPrompt, str]]:
    """TEMPLATEs with these marks, one for each way to show a system prompt; `question` is what the model's own prints
    for a single question."""
    if marks.system is None:
        yield SystemPrompt.FIRST_QUESTION, begin + _turns(marks, _with_system("and $.System (le $i 1)"))
        yield SystemPrompt.LAST_QUESTION, begin + _turns(marks, _with_system("and $.System $last"))
        yield SystemPrompt.NEVER, begin + _turns(marks, _with_system("and $.System (le $i 1)"))
        return
    before, after = marks.system
    in_place = f'{{{{ else if eq .Role "system" }}}}{before}{{{{ .Content }}}}{after}'
    yield SystemPrompt.OWN_TURN, begin + _turns(marks, system_turn=in_place)
    asked = marks.user[0] + _QUESTION["content"] + marks.user[1] + marks.opening
    head = question.removeprefix(begin).removesuffix(asked)
    own_text = head.removeprefix(before).removesuffix(after)
    # Neither a TEMPLATE nor the quotes around it have an escape.
    if head == before + own_text + after and "{{" not in own_text and '"""' not in own_text:
        default = f"{{{{ if not .System }}}}{head}{{{{ end }}}}"
        yield SystemPrompt.DEFAULT_TURN, begin + default + _turns(marks, system_turn=in_place)
        yield SystemPrompt.FRAMED_TURN, f"{begin}{before}{own_text}{{{{ .System }}}}{after}{_turns(marks)}"


def _with_system(condition: str) -> str:
    return f"{{{{ if {condition} }}}}{{{{ $.System }}}}\n\n{{{{ end }}}}"


def _turns(marks: Marks, in_question: str = "", system_turn: str = "") -> str:
    # On one line and without trim markers, so that white space is what the marks say and nothing else. The assistant's
    # turn stays open when a conversation ends with it: Ollama's way to let the model go on.
    return (
        "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        f'{{{{ if eq .Role "user" }}}}{marks.user[0]}{in_question}{{{{ .Content }}}}{marks.user[1]}'
        f'{{{{ else if eq .Role "assistant" }}}}{marks.assistant[0]}{{{{ .Content }}}}'
        f"{{{{ if not $last }}}}{marks.assistant[1]}{{{{ end }}}}"
        f"{system_turn}{{{{ end }}}}"
        + (f'{{{{ if and $last (ne .Role "assistant") }}}}{marks.opening}{{{{ end }}}}' if marks.opening else "")
        + "{{ end }}"
    )


def _prints_the_same(template: str, printed: Mapping[int, str | None], system_prompt: SystemPrompt) -> bool:
    try:
        compiled = GoTemplate(template)
    except GoTemplateError:
        return False
    for index, conversation in enumerate(CONVERSATIONS):
        expected = printed[index]
        # Gemma 2 and the first Mistrals refuse system prompts, so training showed them none that we could contradict.
        if system_prompt is SystemPrompt.NEVER and expected is None and conversation[0]["role"] == "system":
            continue
        if _render_as_ollama(compiled, conversation) != expected:
            return False
    return True


def _render_as_ollama(template: GoTemplate, messages: Sequence[Message]) -> str:
    return template.render(
        {
            "System": "\n\n".join(message["content"] for message in messages if message["role"] == "system"),
            "Messages": [{"Role": message["role"], "Content": message["content"]} for message in messages],
        }
    )


def _prints(render: Render, conversation: Sequence[Message]) -> str | None:
    try:
        return render(conversation)
    except FraguaError:  # One that does not end would be asked again and again.
        raise
    except Exception:  # Templates refuse roles that they do not know, and some raise whatever Python does.
        return None
