"""The file of votes that the page of a report saves."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fragua_platform.errors import InvalidData, LimitExceeded, Violation

MAX_VOTES = 100_000
MAX_VOTE_FILE_BYTES = 64 * 2**20

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preference(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"


class Vote(_Frozen):
    """What one person preferred for one item."""

    suite: Slug
    item: Annotated[str, Field(min_length=1, max_length=256)]
    left: Slug
    """The arm whose answer stood on the left, as A."""
    right: Slug
    preferred: Preference
    blind: bool = True
    """Whether the names of the arms were hidden when the vote was cast."""
    note: Annotated[str, Field(max_length=2_000)] = ""
    cast_at: datetime | None = None

    @property
    def winner(self) -> str | None:
        """The preferred arm; None is a tie."""
        return {Preference.LEFT: self.left, Preference.RIGHT: self.right, Preference.TIE: None}[self.preferred]

    @model_validator(mode="after")
    def _two_arms(self) -> Self:
        if self.left == self.right:
            raise ValueError(f"left and right are the same arm, {self.left}; a vote is between two")
        return self


class VoteFile(_Frozen):
    """One person's votes on one evaluation."""

    format: Literal["fragua.votes/1"]
    evaluation: Annotated[str, Field(max_length=512)] = ""
    """`branches/{branch}/evaluations/{evaluation}`; empty for an engine that was run by hand."""
    report: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The digest of the report whose page was voted on."""
    reviewer: Annotated[str, Field(max_length=200)] = ""
    """As the page was told; who may vote is checked by the service."""
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    """What shuffled left and right, and drew the items."""
    votes: Annotated[tuple[Vote, ...], Field(max_length=MAX_VOTES)]

    @model_validator(mode="after")
    def _one_vote_for_each_pair(self) -> Self:
        if not self.votes:
            raise ValueError("votes: there is no vote in it")
        seen: set[tuple[str, str, frozenset[str]]] = set()
        for number, vote in enumerate(self.votes):
            key = (vote.suite, vote.item, frozenset((vote.left, vote.right)))
            if key in seen:
                raise ValueError(f"votes.{number}: a second vote on {vote.suite}/{vote.item} and the same two arms")
            seen.add(key)
        return self


def parse_votes(content: bytes) -> VoteFile:
    """Raises InvalidData with one violation for each problem, LimitExceeded when the file is too large."""
    if len(content) > MAX_VOTE_FILE_BYTES:
        raise LimitExceeded(f"the votes file has {len(content)} bytes; at most {MAX_VOTE_FILE_BYTES} are read")
    try:
        return VoteFile.model_validate_json(content)
    except ValidationError as invalid:
        violations = [
            Violation(".".join(str(part) for part in error["loc"]) or "file", error["msg"])
            for error in invalid.errors(include_input=False, include_url=False)
        ]
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations[:20])
        more = f"; and {len(violations) - 20} more" if len(violations) > 20 else ""
        raise InvalidData(
            f"the votes file cannot be used: {listed}{more}. Download it from the report's page again",
            violations=violations,
        ) from invalid
