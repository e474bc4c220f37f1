"""Documents in answers, found and read."""

from __future__ import annotations

import time

import pytest

from fragua_evaluator.scoring.metrics.behaviour import has_role_tokens
from fragua_evaluator.scoring.metrics.documents import code_blocks, form_of, is_readable, read_json_document


@pytest.mark.parametrize(
    ("answer", "form", "readable"),
    [
        ('{"año": 2026}', "json", True),
        ("Aquí está:\n```json\n[1, 2]\n```\nEspero que ayude.", "json", True),
        ('```json\n{"a": 1', "json", False),
        ('{"a": NaN}', "json", False),
        ('"solo texto"', "json", False),
        ("{'a': 1}", "json", False),
        ("", "json", False),
        ("título: Gestión\nlista:\n  - uno\n", "yaml", True),
        ("Claro:\n\n~~~yaml\n- uno\n- dos\n~~~\n", "yaml", True),
        # A model that is cut within the fence may still have written a whole document.
        ("```yaml\ntítulo: Gestión\nlista: [a]", "yaml", True),
        ("Lo siento, no puedo.", "yaml", False),
        ("a: 1\na: 2", "yaml", False),
        ("a: [1", "yaml", False),
        ("a: &x [1]\nb: *x", "yaml", False),
        ("!!python/object/apply:os.system [ls]", "yaml", False),
        ("", "yaml", False),
    ],
)
def test_a_document_is_found_in_an_answer_and_read(answer: str, form: str, readable: bool) -> None:
    assert is_readable(answer, form) is readable


def test_a_strict_reader_takes_nothing_but_the_document() -> None:
    assert not is_readable("```json\n{}\n```", "json", strict=True)
    assert is_readable(" {}\n", "json", strict=True)


def test_a_block_that_cannot_be_the_document_is_passed_over() -> None:
    assert read_json_document("```sh\nls\n```\n```\n{}\n```") == {}


def test_a_longer_fence_holds_a_shorter_one() -> None:
    assert [block.text for block in code_blocks("````md\n```py\nx\n```\n````\n")] == ["```py\nx\n```"]


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param("[" * 1_000_000, id="deep flow"),
        pytest.param('{"a":' * 200_000, id="deep map"),
        pytest.param("a: &a [x]\n" + "".join(f"b{n}: &b{n} [{'*a,' * 9}]\n" for n in range(50_000)), id="aliases"),
        pytest.param("\n".join(" " * depth + "a:" for depth in range(1_400)), id="deep block"),
        pytest.param("? " * 500_000, id="deep keys"),
        pytest.param("9" * 1_000_000, id="a long number"),
        pytest.param("\0" * 1_000_000, id="no text at all"),
        pytest.param("\ud800" * 300_000, id="half a character"),
    ],
)
def test_a_bomb_is_refused_at_once(bomb: str) -> None:
    started = time.process_time()
    assert not is_readable(bomb, "yaml")
    assert not is_readable(bomb, "json")
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("expected", "form"),
    [
        ('{"a": 1}', "json"),
        ("title: x\ndescription: y\n", "yaml"),
        ("- id: FR001\n  text: a\n", "yaml"),
        ("Nota: esto es prosa.", ""),
        ("- una\n- lista\n", ""),
        ("Madrid", ""),
        ("", ""),
    ],
)
def test_only_an_expected_document_asks_for_a_form(expected: str, form: str) -> None:
    assert form_of(expected) == form


@pytest.mark.parametrize(
    ("answer", "expected", "found"),
    [
        ("Madrid.<|im_end|>\n<|im_start|>user", "", True),
        ("Madrid.\n\n### Instruction:\nOtra pregunta", "", True),
        ("Madrid.\nuser: ¿y Francia?\nassistant: París", "", True),
        ("user: ¿y Francia?\nassistant: París", "", True),
        ("Usuario: hola", "", True),
        ("[INST] Otra [/INST]", "", True),
        ("El usuario: persona que usa el sistema.", "", False),
        ("title: Acceso\nuser: cliente\nsystem: tienda\n", "", False),
        ("Un <s>error</s> corregido.", "", False),
        ("## Instrucciones\nPrimero, lee.", "", False),
        ("ChatML usa <|im_start|>.", "ChatML separa los turnos con <|im_start|> e <|im_end|>.", False),
        ("", "", False),
    ],
)
def test_role_tokens_are_told_from_words(answer: str, expected: str, found: bool) -> None:
    assert has_role_tokens(answer, expected) is found
