"""The file of votes that a report's page lets people download."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fragua_cli.votes import MAX_VOTE_FILE_BYTES, parse_votes
from fragua_platform.errors import InvalidData, LimitExceeded

VOTE = {
    "suite": "validation",
    "item": "educación-00001",
    "left": "fine-tuned",
    "right": "baseline",
    "preferred": "left",
    "blind": True,
    "note": "más completa",
    "cast_at": "2026-12-01T09:15:00.123Z",
}


def votes_file(votes: list[dict[str, Any]], **fields: Any) -> bytes:
    whole = {"format": "fragua.votes/1", "evaluation": "branches/ba/evaluations/1", "report": "5b" * 32, "seed": 7}
    return json.dumps(whole | {"reviewer": "Íñigo", "votes": votes} | fields).encode()


def test_vote_tells_which_arm_it_prefers() -> None:
    votes = [VOTE, VOTE | {"item": "2", "preferred": "right"}, VOTE | {"item": "3", "preferred": "tie"}]

    assert [vote.winner for vote in parse_votes(votes_file(votes)).votes] == ["fine-tuned", "baseline", None]


def test_all_problems_of_a_file_are_told_at_once_and_where_they_are() -> None:
    votes = [VOTE | {"preferred": "both"}, VOTE | {"right": "fine-tuned"}, VOTE | {"left": "<script>"}]

    with pytest.raises(InvalidData) as refused:
        parse_votes(votes_file(votes, format="fragua.votes/9"))

    assert {violation.field for violation in refused.value.violations} == {
        "format",
        "votes.0.preferred",
        "votes.1",
        "votes.2.left",
    }


def test_nobody_votes_twice_on_the_same_pair_of_answers() -> None:
    again = VOTE | {"left": "baseline", "right": "fine-tuned", "preferred": "left"}

    with pytest.raises(InvalidData, match="a second vote on validation/educación-00001"):
        parse_votes(votes_file([VOTE, again]))
    assert len(parse_votes(votes_file([VOTE, VOTE | {"left": "optimised-prompt"}])).votes) == 2


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'{"format": ', b"null"])
def test_what_is_no_votes_file_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidData, match=r"fragua|votes file"):
        parse_votes(content)


def test_file_above_the_limit_is_not_read() -> None:
    with pytest.raises(LimitExceeded):
        parse_votes(b" " * (MAX_VOTE_FILE_BYTES + 1))


def test_file_without_a_vote_is_refused() -> None:
    with pytest.raises(InvalidData, match="votes"):
        parse_votes(votes_file([]))
