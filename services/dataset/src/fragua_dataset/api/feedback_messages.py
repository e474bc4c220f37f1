"""Between the protos about attempts and ratings and the service's own data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format, struct_pb2

from fragua.dataset.v1 import feedback_pb2, feedback_service_pb2
from fragua_dataset.domain.attempts import Attempt, BranchProgress, OutputRating, Snapshot, Tally
from fragua_platform.errors import InvalidInput, Violation

_LARGEST_ATTEMPT = 2**20


def attempts_from_batch(batch: feedback_service_pb2.AttemptBatch) -> Sequence[Attempt]:
    arrived, attempts, problems = datetime.now(UTC), [], []
    for place, message in enumerate(batch.attempts):
        if message.ByteSize() > _LARGEST_ATTEMPT:
            problems.append(Violation(f"batch.attempts[{place}]", f"is larger than {_LARGEST_ATTEMPT:,} bytes"))
            continue
        try:
            attempts.append(_attempt(message, arrived))
        except _Unreadable as unreadable:
            problems.append(Violation(f"batch.attempts[{place}].{unreadable.field}", unreadable.description))
    if problems:
        raise InvalidInput(f"{len(problems)} attempts of a batch cannot be read", violations=problems)
    return attempts


class _Unreadable(Exception):
    def __init__(self, field: str, description: str) -> None:
        super().__init__(description)
        self.field, self.description = field, description


def _attempt(message: feedback_pb2.Attempt, arrived: datetime) -> Attempt:
    return Attempt(
        attempt_id=message.attempt_id,
        exercise_type=exercise_type_of(message.exercise_type),
        user_id=message.user_id,
        accuracy=message.accuracy,
        snapshot=Snapshot(
            question=message.question,
            answer=message.answer,
            choices=tuple(message.choices),
            system=message.system,
            metadata=_metadata(message.metadata) if message.HasField("metadata") else {},
        ),
        attempted=_time(message) if message.HasField("attempt_time") else arrived,
    )


def exercise_type_of(given: str) -> str:
    """`multiple_choice`, as other programs write it, is `multiple-choice`: types name datasets."""
    return given.replace("_", "-")


def _metadata(struct: struct_pb2.Struct) -> dict[str, Any]:
    try:
        return json_format.MessageToDict(struct)
    except json_format.SerializeToJsonError:
        # Not chained: the error's text quotes the value.
        raise _Unreadable("metadata", "holds a number that JSON has no word for, such as NaN") from None


def _time(message: feedback_pb2.Attempt) -> datetime:
    try:
        return message.attempt_time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _Unreadable("attempt_time", "is outside of the years 1 to 9999") from None


def tally_to_message(tally: Tally) -> feedback_service_pb2.IngestAttemptsResponse:
    return feedback_service_pb2.IngestAttemptsResponse(
        received=tally.received,
        accepted=tally.accepted,
        below_accuracy=tally.below_accuracy,
        repeated_attempts=tally.repeated,
    )


def progress_to_message(progress: BranchProgress) -> feedback_pb2.BranchProgress:
    return feedback_pb2.BranchProgress(
        name=f"branches/{progress.branch}/progress",
        exercise_types=[
            feedback_pb2.ExerciseTypeProgress(
                exercise_type=each.exercise_type,
                samples=each.samples,
                new_samples=each.new_samples,
                below_accuracy=each.below_accuracy,
                mean_accuracy=each.mean_accuracy,
            )
            for each in progress.exercise_types
        ],
        cycles=[
            feedback_pb2.AccuracyCycle(end_time=cycle.ended, attempts=cycle.attempts, mean_accuracy=cycle.mean_accuracy)
            for cycle in progress.cycles
        ],
        pooled_outputs=progress.pooled_outputs,
        rated_outputs=progress.rated_outputs,
    )


def rating_to_message(rating: OutputRating) -> feedback_pb2.OutputRating:
    return feedback_pb2.OutputRating(
        name=rating.name,
        concept=rating.concept,
        output=rating.output,
        rating=rating.rating,
        model=rating.model,
        pooled=rating.pooled,
        create_time=rating.created,
    )
