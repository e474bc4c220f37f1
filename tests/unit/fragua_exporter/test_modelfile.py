"""The Modelfile, read back with the rules of Ollama's own parser."""

from __future__ import annotations

import pytest

from fragua_exporter.conversion.chat_template import ChatFormat
from fragua_exporter.conversion.modelfile import make_modelfile
from fragua_exporter.domain.export_spec import ExportSpec, Quantization, SamplingParameters
from fragua_exporter.domain.modelfile import Modelfile, check_texts, parse_modelfile
from fragua_platform.errors import Corrupted, InvalidInput
from tests.unit.fragua_exporter.chat_templates import PUBLISHED, PublishedTemplate
from tests.unit.fragua_exporter.test_chat_template import format_of


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


CHATML = format_of(PUBLISHED["chatml"].tokenizer())
LLAMA_3 = format_of(PUBLISHED["llama 3"].tokenizer())


def written(
    system_prompt: str = "", num_ctx: int = 4096, license_text: str = "", chat: ChatFormat = CHATML
) -> Modelfile:
    spec = ExportSpec(
        model_name="tutor",
        quantizations=(Quantization.F16,),
        system_prompt=system_prompt,
        probe_prompt="¿Qué?",
        license=license_text,
        parameters=SamplingParameters(num_ctx=num_ctx),
    )
    return make_modelfile("tutor-f16.gguf", chat, spec, context_length=8192)


# R154, R193
def test_it_names_the_file_the_turns_the_stops_and_the_sampling() -> None:
    assert read_as_ollama(written().render()) == [
        ("FROM", "./tutor-f16.gguf"),
        ("TEMPLATE", CHATML.template),
        ("PARAMETER", 'stop "<|im_start|>"'),
        ("PARAMETER", 'stop "<|im_end|>"'),
        ("PARAMETER", "temperature 0.7"),
        ("PARAMETER", "top_p 0.9"),
        ("PARAMETER", "top_k 40"),
        ("PARAMETER", "num_ctx 4096"),
    ]


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
# R154
def test_the_template_of_every_family_survives_ollamas_parser(published: PublishedTemplate) -> None:
    chat = format_of(published.tokenizer())
    commands = read_as_ollama(written(chat=chat).render())
    assert ("TEMPLATE", chat.template) in commands
    assert [value for name, value in commands if value.startswith("stop")] == [f'stop "{stop}"' for stop in chat.stops]


TEXTS = ['Di "sí" o "no"', '"', "Línea 1\n\n  Línea 2\t", "{{ .System }} # FROM x\nFROM y", 'fin ""']


@pytest.mark.parametrize("text", ["Eres un tutor.", *TEXTS])
# R194
def test_texts_come_back_as_they_were_written(text: str) -> None:
    check_texts(system_prompt=text, license=text)
    assert [value for name, value in read_as_ollama(written(text, license_text=text).render()) if value == text] == [
        text
    ] * 2
    assert parse_modelfile(written(text, license_text=text).render()) == written(text, license_text=text)


def test_a_system_prompt_is_stripped_where_the_models_own_template_does_it() -> None:
    assert ("SYSTEM", "Sé breve.") in read_as_ollama(written(" Sé breve.\n", chat=LLAMA_3).render())


@pytest.mark.parametrize(("text", "named"), [('Di """sí"""', "no escape"), ("a\u00a0b\u200dc", "U+00A0, U+200D")])
def test_texts_that_ollama_would_change_are_refused_all_at_once(text: str, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_texts(system_prompt=text, license=text)
    assert [violation.field for violation in refused.value.violations] == ["system_prompt", "license"]
    assert named in refused.value.violations[0].description


def test_the_context_never_exceeds_what_the_model_was_trained_with() -> None:
    assert written(num_ctx=131072).parameters["num_ctx"] == 8192


@pytest.mark.parametrize(
    "text", ["", "FROM ./x.gguf\n", "FROM ./x.gguf\nADAPTER ./y\n", 'FROM ./x\nTEMPLATE """open\n']
)
def test_a_modelfile_that_no_export_wrote_is_not_read(text: str) -> None:
    with pytest.raises(Corrupted):
        parse_modelfile(text)
