"""Prompts as YAML: the packaged ones by name and language, and a user's own from its text."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fragua_dataset.domain.synthesis_spec import PLACEHOLDERS, Form, Prompt, Variations
from fragua_platform.errors import InvalidInput, NotFound, Violation
from fragua_platform.yaml_text import read_yaml

_VARIATIONS: Final = "variations"
_ELSEWHERE: Final = "en"
"""The language that the packaged prompts are taken in when there is none in the language asked for."""
_IN_ANOTHER_LANGUAGE: Final = "\n\nWrite every text in the language with the ISO 639-1 code {language}."
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@cache
def packaged_prompts() -> tuple[str, ...]:
    names = (file.name.removesuffix(".yaml") for file in (files("fragua_dataset") / "prompts").iterdir())
    return tuple(sorted(name for name in names if name != _VARIATIONS))


def packaged_prompt(name: str, language: str) -> Prompt:
    """Raises NotFound."""
    if name not in packaged_prompts():
        raise NotFound(f"there is no prompt {name!r}; the packaged ones are {', '.join(packaged_prompts())}")
    content = _read(name)
    prompt = Prompt(name=name, form=content["form"], **content.get(language, content[_ELSEWHERE]))
    return prompt if language in content else _with_language(prompt)


def own_prompt(text: str, form: Form) -> Prompt:
    """Raises InvalidInput for one that would ask the same for every concept."""
    if "concept" not in _PLACEHOLDER.findall(text):
        names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        problem = Violation("prompt_text", f"does not say {{concept}}; it may say {names}")
        raise InvalidInput(f"the prompt {problem.description}", violations=[problem])
    return _with_language(Prompt(name="own", form=form, wordings=(text,)))


def packaged_variations(language: str) -> Variations:
    content = _read(_VARIATIONS)
    return Variations(**content.get(language, content[_ELSEWHERE]))


def filled_in(template: str, values: dict[str, str]) -> str:
    """Only what `values` names is filled in: a prompt may show JSON, with braces of its own."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def _with_language(prompt: Prompt) -> Prompt:
    return prompt.model_copy(update={"system": f"{prompt.system}{_IN_ANOTHER_LANGUAGE}".strip()})


@cache
def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = read_yaml((files("fragua_dataset") / "prompts" / f"{name}.yaml").read_text("utf-8"))
    return content
