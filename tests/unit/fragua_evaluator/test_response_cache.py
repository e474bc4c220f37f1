"""Answers that later evaluations need not ask for again."""

from contextlib import closing
from pathlib import Path

import pytest

from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.response_cache import ResponseCache, cache_key

ANSWER = Answer(text="Está en Logroño.", ending=Ending.STOP, tokens=5, seconds=0.4)
KEY = cache_key("weights", "prompt", {"temperature": 0.0, "repeat": 0})


def opened(folder: Path, mib: int = 8) -> "closing[ResponseCache]":
    return closing(ResponseCache.open(str(folder), mib))


def test_an_answer_is_found_by_a_later_process_and_marked_as_cached(tmp_path: Path) -> None:
    with opened(tmp_path) as cache:
        cache.keep(KEY, ANSWER)
    with opened(tmp_path) as cache:
        assert cache.find(KEY) == ANSWER.model_copy(update={"cached": True})


@pytest.mark.parametrize(
    "other",
    [
        cache_key("other weights", "prompt", {"temperature": 0.0, "repeat": 0}),
        cache_key("weights", "other prompt", {"temperature": 0.0, "repeat": 0}),
        cache_key("weights", "prompt", {"temperature": 0.7, "repeat": 0}),
        cache_key("weights", "prompt", {"temperature": 0.0, "repeat": 1}),
    ],
)
def test_another_model_prompt_decoding_or_repeat_is_asked_anew(tmp_path: Path, other: bytes) -> None:
    with opened(tmp_path) as cache:
        cache.keep(KEY, ANSWER)
        assert cache.find(other) is None


def test_failures_are_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as cache:
        cache.keep(KEY, Answer(ending=Ending.FAILED, failure="TIMEOUT: no answer"))
        assert cache.find(KEY) is None


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "responses.sqlite").write_bytes(b"no database, but long enough to look like one" * 100)
    with opened(tmp_path) as cache:
        cache.keep(KEY, ANSWER)
        assert cache.find(KEY) is not None


def test_the_oldest_answers_make_room(tmp_path: Path) -> None:
    long = ANSWER.model_copy(update={"text": "ñ" * 50_000})
    with opened(tmp_path) as cache:
        for number in range(40):
            cache.keep(cache_key("w", str(number), {}), long)
    with opened(tmp_path, mib=1):
        pass  # closing makes the room
    with opened(tmp_path, mib=1) as cache:
        found = [cache.find(cache_key("w", str(number), {})) is not None for number in range(40)]
    assert not found[0], "the oldest one is gone"
    assert found[-1], "the newest one stays"


def test_without_a_folder_nothing_is_kept() -> None:
    with closing(ResponseCache.open("", 8)) as cache:
        cache.keep(KEY, ANSWER)
        assert cache.find(KEY) is None
