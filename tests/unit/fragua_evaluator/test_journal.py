"""Answers that survive the attempt that asked for them."""

from pathlib import Path

import pytest

from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.journal import Journal
from fragua_evaluator.scoring.targets.port import Identity
from fragua_platform.errors import Corrupted, InvalidInput

IDENTITY = Identity("modelo", "d1", {"device": "cpu", "stop_tokens": [3]})


def journal() -> Journal:
    kept = Journal({"items": "a"})
    kept.know("base", IDENTITY).seconds = 2.5
    kept.add("base", "s/ñ/0", Answer(text="Sí, señor.", ending=Ending.STOP, tokens=4, first_token_seconds=0.1))
    kept.add("base", "s/2/0", Answer(ending=Ending.FAILED, failure="TIMEOUT: no answer"))
    return kept


def test_a_later_attempt_knows_every_answer_and_what_it_cost(tmp_path: Path) -> None:
    saved = journal().save(tmp_path)
    later = Journal({"items": "a"})
    later.restore(saved)
    assert later.answer("base", "s/ñ/0") == journal().answer("base", "s/ñ/0")
    assert later.answer_count == 2
    assert later.know("base", IDENTITY).seconds == 2.5


def test_what_failed_can_be_asked_again() -> None:
    kept = journal()
    kept.forget_failures("base")
    assert kept.answer("base", "s/2/0") is None
    assert kept.answer("base", "s/ñ/0") is not None


def test_answers_of_another_evaluation_are_refused_by_what_differs(tmp_path: Path) -> None:
    saved = journal().save(tmp_path)
    with pytest.raises(InvalidInput, match="items differ"):
        Journal({"items": "b"}).restore(saved)


def test_a_model_that_changed_between_two_attempts_is_refused(tmp_path: Path) -> None:
    later = Journal({"items": "a"})
    later.restore(journal().save(tmp_path))
    with pytest.raises(InvalidInput, match="another model"):
        later.know("base", Identity("modelo", "d2"))


def test_a_damaged_checkpoint_is_corrupted_and_not_half_read(tmp_path: Path) -> None:
    saved = journal().save(tmp_path)
    lines = (saved / "answers.jsonl").read_bytes()
    (saved / "answers.jsonl").write_bytes(lines[:-20])
    with pytest.raises(Corrupted):
        Journal({"items": "a"}).restore(saved)
