"""Rows that a tokenizer's maximum length cuts: rendered and counted as transformers does it, which is the judge here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer

from fragua_dataset.ingestion.tokens import Truncation
from fragua_platform.errors import InvalidInput

Messages = list[dict[str, str]]

CHATML = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
LLAMA_3 = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + date_string + "\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {% generation %}
    {{- message['content'] | trim + '<|eot_id|>' }}
    {%- endgeneration %}
{%- endfor %}
{%- if tools is not none %}{{- tools | tojson }}{%- endif %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
MISTRAL = """\
{{ bos_token }}{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if message['role'] == 'user' %}
{{ ' [INST] ' + message['content'] + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}
{{ ' ' + message['content'] + eos_token }}
{% endif %}
{% endfor %}
"""
TEMPLATES = {"chatml": CHATML, "llama": LLAMA_3, "mistral": MISTRAL}
SPECIAL = [
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("[INST]", "[/INST]"),
]
CHAT: Messages = [
    {"role": "user", "content": "¿Qué estudió Malinowski en las islas Trobriand?"},
    {"role": "assistant", "content": "  El kula: un intercambio ceremonial. 🐚 Año 1914."},
]


def write_tokenizer(folder: Path, template: str | list[dict[str, str]], **config: Any) -> Path:
    """One token per byte, apart from the special ones."""
    folder.mkdir(parents=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={character: at for at, character in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    document = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": {"__type": "AddedToken", "content": "</s>", "special": True},
        "chat_template": template,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(document | config), "utf-8")
    return folder


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tokenizers")
    return {name: write_tokenizer(folder / name, template) for name, template in TEMPLATES.items()}


def ids_of(folder: Path, messages: Messages, *, asking: bool = False) -> list[int]:
    """By transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asking)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


texts = st.text(st.sampled_from("abñÑé¿? \n.🐚日<|>[/]{%"), min_size=1, max_size=20).filter(str.strip)


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
def test_rows_are_as_long_as_transformers_makes_them(
    name: str, turns: list[tuple[str, str]], tokenizers: dict[str, Path]
) -> None:
    messages = [
        {"role": role, "content": content}
        for question, answer in turns
        for role, content in (("user", question), ("assistant", answer))
    ]
    truncation = Truncation(tokenizers[name], 10_000)
    assert truncation.add(messages) is None
    assert truncation.report().longest == len(ids_of(tokenizers[name], messages))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_row_is_told_just_when_a_training_would_refuse_it(name: str, tokenizers: dict[str, Path]) -> None:
    folder = tokenizers[name]
    ids = ids_of(folder, CHAT)
    asked = len(ids_of(folder, CHAT[:1], asking=True))
    for max_length in range(8, len(ids) + 2):
        truncation = Truncation(folder, max_length)
        cut = truncation.add(CHAT)
        assert (cut is not None) == (len(ids) > max_length)
        assert (cut is not None and cut.answer_lost) == (asked >= max_length)
        report = truncation.report()
        assert (report.rows_cut, report.rows_without_answer) == (len(ids) > max_length, asked >= max_length)
        assert (report.tokenizer, report.max_length, report.longest) == (name, max_length, len(ids))


def test_what_a_cut_takes_is_told(tokenizers: dict[str, Path]) -> None:
    whole = len(ids_of(tokenizers["chatml"], CHAT))

    def told(max_length: int) -> str:
        cut = Truncation(tokenizers["chatml"], max_length).add(CHAT)
        assert cut and not cut.answer_lost
        return cut.description

    assert told(whole - 1) == (
        f"'chatml' needs {whole} tokens, 1 of them after the end of the answer, and keeps {whole - 1}"
    ), "the line feed after <|im_end|>"
    assert told(whole - 2) == (
        f"'chatml' needs {whole - 1} tokens up to the end of the answer and keeps {whole - 2}"
    ), "<|im_end|> itself"


def test_rows_are_judged_in_their_order(tokenizers: dict[str, Path]) -> None:
    long = [CHAT[0], {"role": "assistant", "content": "muy larga " * 200}]
    longer = [{"role": "user", "content": "muy larga " * 200}, CHAT[1]]
    refused = [{"role": "system", "content": "Eres un tutor."}, *CHAT]
    truncation = Truncation(tokenizers["mistral"], 500)
    cuts = truncation.add_all([CHAT, long, refused, CHAT, longer])
    assert [cut and cut.answer_lost for cut in cuts] == [None, False, True, None, True]
    assert cuts[2] is not None and "refuses the messages: Conversation roles must alternate" in cuts[2].description
    assert truncation.add_all([]) == []
    report = truncation.report()
    assert (report.rows_cut, report.rows_without_answer, report.longest) == (
        3,
        2,
        len(ids_of(tokenizers["mistral"], longer)),
    )


def test_a_template_that_rewrites_earlier_turns_is_understood(tmp_path: Path) -> None:
    template = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}"
    folder = write_tokenizer(tmp_path / "odd", template)
    chat = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cdefghijkl"}]
    assert Truncation(folder, 14).add(chat) is None
    assert [getattr(Truncation(folder, length).add(chat), "answer_lost", None) for length in (13, 8)] == [False, False]


def test_a_tokenizer_that_was_saved_while_it_cut_and_filled_does_neither(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "cutting", CHATML)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=4096)
    tokenizer.save(str(folder / "tokenizer.json"))
    truncation = Truncation(folder, 64)
    assert truncation.add(CHAT) is not None
    assert truncation.report().longest == len(ids_of(write_tokenizer(tmp_path / "plain", CHATML), CHAT))


@pytest.mark.parametrize(
    "place_template",
    [
        lambda folder: (folder / "chat_template.jinja").write_text(MISTRAL, "utf-8"),
        lambda folder: write_tokenizer(
            folder / "n", [{"name": "tool_use", "template": CHATML}, {"name": "default", "template": MISTRAL}]
        ),
    ],
    ids=["file", "several"],
)
def test_the_template_is_the_one_that_transformers_takes(place_template: Any, tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", CHATML)
    place_template(folder)
    folder = folder / "n" if (folder / "n").is_dir() else folder
    truncation = Truncation(folder, 1000)
    truncation.add(CHAT)
    assert (
        truncation.report().longest
        == len(ids_of(folder, CHAT))
        < len(ids_of(write_tokenizer(tmp_path / "c", CHATML), CHAT))
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("tokenizer.json", None, "tokenizer 'base' has no tokenizer.json"),
        ("tokenizer.json", '{"version": "1.0"}', "tokenizer.json cannot be read"),
        ("tokenizer_config.json", None, "tokenizer 'base' has no chat template"),
        ("tokenizer_config.json", "{", "tokenizer_config.json is no JSON"),
        ("tokenizer_config.json", "[" * 100_000, "tokenizer_config.json is no JSON"),
        ("tokenizer_config.json", "[]", "tokenizer_config.json is not an object"),
        ("tokenizer_config.json", '{"chat_template": [{"name": "rag", "template": "a"}]}', "has no chat template"),
        ("chat_template.jinja", "\n{% for %}", "line 2 of its chat template cannot be read"),
    ],
)
def test_a_broken_tokenizer_is_told_by_its_name(name: str, content: str | None, says: str, tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "base", CHATML)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content, "utf-8")
    with pytest.raises(InvalidInput, match=says):
        Truncation(folder, 100)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ 1 / 0 }}",
        "{% for i in range(10 ** 9) %}a{% endfor %}",
    ],
)
def test_a_hostile_template_refuses_rows_and_reaches_nothing(template: str, tmp_path: Path) -> None:
    cut = Truncation(write_tokenizer(tmp_path / "hostile", template), 100).add(CHAT)
    assert cut is not None and "refuses the messages" in cut.description
