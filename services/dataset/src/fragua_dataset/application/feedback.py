"""Taking in what learners and users do: attempts become samples, outputs that were rated well go to the pool."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.policies import Policies
from fragua_dataset.domain.attempts import (
    AccuracyCycle,
    Attempt,
    BranchProgress,
    ExerciseTypeProgress,
    OutputRating,
    Tally,
    attempt_problems,
    text_problems,
)
from fragua_platform.database import Database
from fragua_platform.errors import AlreadyExists, InvalidInput, Violation
from fragua_platform.jobs.desk import new_id

_CYCLES_SHOWN = 24


class AttemptRecords(Protocol):
    """Each call in the caller's transaction."""

    def take_in(self, connection: Connection, branch: str, batch: Sequence[Attempt], min_accuracy: float) -> Tally:
        """Keep and count the attempts that are new, and tell of it."""
        ...

    def progress(self, connection: Connection, branch: str) -> Sequence[ExerciseTypeProgress]: ...

    def cycles(self, connection: Connection, branch: str, limit: int) -> Sequence[AccuracyCycle]:
        """Newest first."""
        ...


class RatingRecords(Protocol):
    """Each call in the caller's transaction."""

    def add(self, connection: Connection, rating: OutputRating) -> OutputRating:
        """The rating, or the one that the same request made first."""
        ...

    def counts(self, connection: Connection, branch: str) -> tuple[int, int]:
        """Outputs in the pool that wait for the next consolidation, and all that were rated."""
        ...


class Feedback:
    def __init__(
        self,
        database: Database,
        branches: BranchDirectory,
        policies: Policies,
        attempts: AttemptRecords,
        ratings: RatingRecords,
    ) -> None:
        self._database = database
        self._branches = branches
        self._policies = policies
        self._attempts = attempts
        self._ratings = ratings

    async def take_in(self, branch: str, batch: Sequence[Attempt]) -> Tally:
        """One batch in one transaction: all of it or nothing."""
        problems = [
            Violation(f"batch.attempts[{place}].{problem.field}", problem.description)
            for place, attempt in enumerate(batch)
            for problem in attempt_problems(attempt)
        ]
        if problems:
            raise InvalidInput(f"{len(problems)} problems in a batch of {len(batch)} attempts", violations=problems)

        def write(connection: Connection) -> Tally:
            threshold = self._policies.of(connection, branch).min_attempt_accuracy
            return self._attempts.take_in(connection, branch, batch, threshold)

        return await self._database.run(write)

    async def progress(self, branch: str) -> BranchProgress:
        await self._branches.get(branch)

        def read(connection: Connection) -> BranchProgress:
            pooled, rated = self._ratings.counts(connection, branch)
            return BranchProgress(
                branch,
                self._attempts.progress(connection, branch),
                self._attempts.cycles(connection, branch, _CYCLES_SHOWN),
                pooled,
                rated,
            )

        return await self._database.run(read)

    async def rate(
        self, branch: str, *, concept: str, output: str, rating: int, model: str, request_id: str
    ) -> OutputRating:
        """Keep a rating; the same request again gives the first one."""
        if problems := text_problems(concept=concept, output=output, model=model or "-"):
            placed = [Violation(f"output_rating.{problem.field}", problem.description) for problem in problems]
            raise InvalidInput("the rating cannot become a row", violations=placed)

        def write(connection: Connection) -> OutputRating:
            policy = self._policies.of(connection, branch)
            new = OutputRating(
                id=new_id(),
                branch=branch,
                request_id=request_id,
                concept=concept,
                output=output,
                rating=rating,
                model=model,
                pooled=rating >= policy.min_rating,
                created=datetime.now(UTC),
            )
            kept = self._ratings.add(connection, new)
            if not kept.says_the_same(new):
                raise AlreadyExists(
                    f"request_id {request_id!r} was used for {kept.name} with other content; use a new request_id",
                    reason="REQUEST_ID_REUSED",
                )
            return kept

        return await self._database.run(write)
