"""Answers that somebody else generated, as an arm: every problem of the file is told before anything is scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fragua_evaluator.domain.arm import Limits, Message, ReadyOutputs, Role
from fragua_evaluator.domain.report import Ending
from fragua_evaluator.scoring.targets import outputs
from fragua_evaluator.scoring.targets.outputs import OutputsTarget
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Question
from fragua_platform.errors import InvalidData, InvalidInput, LimitExceeded

MESSAGES = (Message(role=Role.USER, content="¿Qué?"),)


def asked(*places: tuple[str, str, int]) -> list[Question]:
    return [Question(f"{s}/{i}/{r}", s, i, r, MESSAGES, 16, 0) for s, i, r in places]


TWO = asked(("val", "a", 0), ("val", "b", 0))


def opened(directory: Path, *lines: Any, limits: Limits | None = None) -> OutputsTarget:
    content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    (directory / "outputs.jsonl").write_bytes(content)
    return OutputsTarget(ReadyOutputs(file="outputs.jsonl"), directory, limits or Limits())


def answers(target: OutputsTarget, questions: list[Question]) -> dict[str, str]:
    target.refuse_unfit(questions)
    return {key: answer.text for key, answer in target.generate(questions, lambda: False)}


def problems(target: OutputsTarget, questions: list[Question]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidData) as refused:
        target.refuse_unfit(questions)
    assert refused.value.reason == "OUTPUTS_UNFIT"
    return [(violation.field, violation.description) for violation in refused.value.violations]


def test_each_item_gets_its_output(tmp_path: Path) -> None:
    target = opened(tmp_path, {"id": "b", "output": "año"}, b"", {"id": "a", "output": ""})
    assert answers(target, TWO) == {"val/a/0": "", "val/b/0": "año"}


def test_an_output_is_for_all_suites_and_repeats_unless_it_names_them(tmp_path: Path) -> None:
    target = opened(
        tmp_path,
        {"id": "a", "output": "everywhere"},
        {"id": "a", "output": "val", "suite": "val"},
        {"id": "a", "output": "val 1", "suite": "val", "repeat": 1},
        {"id": "a", "output": "repeat 2", "repeat": 2},
    )
    places = asked(("val", "a", 0), ("val", "a", 1), ("other", "a", 0), ("other", "a", 2))
    assert list(answers(target, places).values()) == ["val", "val 1", "everywhere", "repeat 2"]


# R30
def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    target = opened(
        tmp_path,
        {"id": "a", "output": "one"},
        b"{broken",
        {"id": "a", "output": "two"},
        {"id": "zzz", "output": "nobody asked"},
        b'{"id": "n", "output": NaN}',
        {"id": "", "output": 3, "extra": True},
        b"\xff\xfe",
        [1],
        b"[" * 50_000,
    )
    assert problems(target, TWO) == [
        ("outputs.jsonl line 2", "is no JSON in UTF-8"),
        ("outputs.jsonl line 3", "answers item a again, after line 1"),
        ("outputs.jsonl line 5", "holds NaN, which is no JSON"),
        ("outputs.jsonl line 6", "id: String should have at least 1 character"),
        ("outputs.jsonl line 6", "output: Input should be a valid string"),
        ("outputs.jsonl line 6", "extra: Extra inputs are not permitted"),
        ("outputs.jsonl line 7", "is no JSON in UTF-8"),
        ("outputs.jsonl line 8", "the line: Input should be a valid dictionary or instance of _Line"),
        ("outputs.jsonl line 9", "is no JSON in UTF-8"),
        ("outputs.jsonl line 4", "answers item zzz, which is not asked"),
        ("outputs.jsonl", "has no output for item b of suite val in repeat 0"),
    ]


def test_nul_and_half_signs_become_the_sign_for_what_cannot_be_shown(tmp_path: Path) -> None:
    target = opened(tmp_path, b'{"id": "a", "output": "x\\u0000\\ud83d"}', b'{"id": "b", "output": "\\ud83d\\ude00"}')
    texts = answers(target, TWO)
    assert texts == {"val/a/0": "x\ufffd\ufffd", "val/b/0": "😀"}
    assert "".join(texts.values()).encode()


def test_an_output_above_the_limit_is_a_failed_item(tmp_path: Path) -> None:
    target = opened(
        tmp_path,
        {"id": "a", "output": "ñ" * 2**20},
        {"id": "b", "output": "corta"},
        limits=Limits(max_output_bytes=2_048),
    )
    target.refuse_unfit(TWO)
    first, second = (answer for _, answer in target.generate(TWO, lambda: False))
    assert first.ending is Ending.FAILED
    assert first.failure == "OUTPUT_TOO_LARGE: outputs.jsonl line 1 holds more than max_output_bytes = 2048"
    assert second.text == "corta"


def test_a_line_without_end_is_a_problem_and_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutputsTarget, "_longest_line", lambda _: 10_000)
    target = opened(tmp_path, b"x" * 100_000, {"id": "a", "output": "one"}, {"id": "b", "output": "two"})
    [(place, problem)] = problems(target, TWO)
    assert place == "outputs.jsonl line 1" and "longer than 10000 bytes" in problem


def test_files_beyond_all_bounds_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_MAX_FILE_BYTES", 100)
    with pytest.raises(LimitExceeded):
        opened(tmp_path, b"x" * 101)
    monkeypatch.setattr(outputs, "_MAX_LINES", 3)
    with pytest.raises(LimitExceeded):
        opened(tmp_path, *[b"1"] * 4)


def test_hundreds_of_problems_are_counted_and_not_all_told(tmp_path: Path) -> None:
    target = opened(tmp_path, *[b"no"] * 300)
    with pytest.raises(InvalidData, match="302 problems; the first 100 are listed") as refused:
        target.refuse_unfit(TWO)
    assert len(refused.value.violations) == 100


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no file outputs\.jsonl"):
        OutputsTarget(ReadyOutputs(file="outputs.jsonl"), tmp_path, Limits())


def test_another_file_has_another_digest_and_what_is_unknown_is_written_down(tmp_path: Path) -> None:
    first = opened(tmp_path, {"id": "a", "output": "1"}).identity
    second = opened(tmp_path, {"id": "a", "output": "2"}).identity
    assert first.digest != second.digest and str(tmp_path) not in repr(first)
    assert first.conditions["not_verifiable"]


def test_answers_cannot_be_weighed(tmp_path: Path) -> None:
    target = opened(tmp_path, {"id": "a", "output": "1"})
    with pytest.raises(InvalidInput, match="no model") as refused:
        list(target.weigh_choices([ChoiceQuestion("k", MESSAGES, ("A", "B"))], lambda: False))
    assert refused.value.reason == "UNSUPPORTED_BY_TARGET"


def test_a_stop_request_is_heeded(tmp_path: Path) -> None:
    target = opened(tmp_path, {"id": "a", "output": "1"}, {"id": "b", "output": "2"})
    looks = iter([False, True])
    assert len(list(target.generate(TWO, lambda: next(looks)))) == 1
