"""The Modelfile, read back with the rules of Ollama's own parser."""

from __future__ import annotations

import pytest

from fragua_exporter.conversion.chat_template import CHATML
from fragua_exporter.conversion.modelfile import check_system_prompt, render_modelfile
from fragua_exporter.domain.export_spec import SamplingParameters
from fragua_platform.errors import InvalidInput


def read_as_ollama(modelfile: str) -> list[tuple[str, str]]:
    """Commands and values: a value ends at the first line end at which its quotes, if it has any, are closed."""
    commands, pending = [], ""
    for line in modelfile.splitlines(keepends=True):
        pending += line
        name, _, value = pending.strip().partition(" ")
        quote = '"""' if value.startswith('"""') else '"' if value.startswith('"') else ""
        if quote and (len(value) < 2 * len(quote) or not value.endswith(quote)):
            continue
        commands.append((name, value[len(quote) : len(value) - len(quote)]))
        pending = ""
    assert not pending, "an open quote"
    return commands


def modelfile(system_prompt: str = "", num_ctx: int = 4096) -> list[tuple[str, str]]:
    parameters = SamplingParameters(num_ctx=num_ctx)
    return read_as_ollama(render_modelfile("tutor-f16.gguf", CHATML, system_prompt, parameters, context_length=8192))


# R154, R193
def test_it_names_the_file_the_turns_the_stops_and_the_sampling() -> None:
    assert modelfile() == [
        ("FROM", "./tutor-f16.gguf"),
        ("TEMPLATE", CHATML.ollama_template),
        ("PARAMETER", 'stop "<|im_start|>"'),
        ("PARAMETER", 'stop "<|im_end|>"'),
        ("PARAMETER", "temperature 0.7"),
        ("PARAMETER", "top_p 0.9"),
        ("PARAMETER", "top_k 40"),
        ("PARAMETER", "num_ctx 4096"),
    ]


@pytest.mark.parametrize(
    "system_prompt",
    ["Eres un tutor.", 'Di "sí" o "no"', '"', "Línea 1\n\n  Línea 2\t", "{{ .System }} # FROM x\nFROM y", 'fin ""'],
)
# R194
def test_a_system_prompt_comes_back_as_it_was_written(system_prompt: str) -> None:
    check_system_prompt(system_prompt)
    assert ("SYSTEM", system_prompt) in modelfile(system_prompt)


@pytest.mark.parametrize(
    ("system_prompt", "named"), [('Di """sí"""', "no escape"), ("a\u00a0b\u200dc", "U+00A0, U+200D")]
)
def test_a_system_prompt_that_ollama_would_change_is_refused(system_prompt: str, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_system_prompt(system_prompt)
    assert named in refused.value.violations[0].description


def test_the_context_never_exceeds_what_the_model_was_trained_with() -> None:
    assert ("PARAMETER", "num_ctx 8192") in modelfile(num_ctx=131072)
