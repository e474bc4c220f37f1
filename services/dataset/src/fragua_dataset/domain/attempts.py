"""What learners and users do: attempts at exercises, opinions on outputs, and how these become examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fragua_platform.errors import Violation
from fragua_platform.yaml_text import InvalidYaml, read_yaml, write_yaml

POOL_DATASET = "feedback"
"""Where outputs go that were rated well; the other datasets that consolidation makes are named after exercise types."""

_RECORD_TEXTS = ("title", "description")
_RECORD_SECTIONS = ("functional_requirements", "non_functional_requirements", "constraints")

_DEEPEST_METADATA = 8


@dataclass(frozen=True)
class Snapshot:
    """An exercise with its right answer: everything that a sample's row is made from, and nothing about the user."""

    question: str = field(repr=False)
    answer: str = field(repr=False)
    """Normalised."""
    choices: Sequence[str] = field(default=(), repr=False)
    system: str = field(default="", repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Attempt:
    """Somebody's try at an exercise. Its texts and its user stay out of `repr`, so that no log or error has them."""

    attempt_id: str
    exercise_type: str
    user_id: str = field(repr=False)
    accuracy: float
    snapshot: Snapshot
    attempted: datetime


@dataclass(frozen=True)
class Tally:
    """What became of a number of attempts."""

    received: int = 0
    accepted: int = 0
    """Became samples."""
    below_accuracy: int = 0
    """Counted, not kept."""
    repeated: int = 0
    """Known before; changed nothing."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.received + other.received,
            self.accepted + other.accepted,
            self.below_accuracy + other.below_accuracy,
            self.repeated + other.repeated,
        )


@dataclass(frozen=True)
class ExerciseTypeProgress:
    exercise_type: str
    samples: int
    new_samples: int
    """Since the last consolidation."""
    below_accuracy: int
    accuracy_sum: float

    @property
    def mean_accuracy(self) -> float:
        attempts = self.samples + self.below_accuracy
        return self.accuracy_sum / attempts if attempts else 0.0


@dataclass(frozen=True)
class AccuracyCycle:
    """All attempts of a branch between two consolidations of the whole branch."""

    branch: str
    number: int
    """1, 2, 3… within the branch."""
    ended: datetime
    attempts: int
    mean_accuracy: float

    @property
    def name(self) -> str:
        return f"branches/{self.branch}/cycles/{self.number}"


@dataclass(frozen=True)
class BranchProgress:
    branch: str
    exercise_types: Sequence[ExerciseTypeProgress]
    cycles: Sequence[AccuracyCycle]
    """Newest first."""
    pooled_outputs: int
    """Waiting for the next consolidation."""
    rated_outputs: int


@dataclass(frozen=True)
class OutputRating:
    """Somebody's opinion of what a model wrote."""

    id: str
    branch: str
    request_id: str
    concept: str = field(repr=False)
    output: str = field(repr=False)
    rating: int
    """Stars, 1 to 5."""
    model: str
    pooled: bool
    created: datetime

    @property
    def name(self) -> str:
        return f"branches/{self.branch}/ratings/{self.id}"

    def says_the_same(self, other: OutputRating) -> bool:
        return (self.concept, self.output, self.rating, self.model) == (
            other.concept,
            other.output,
            other.rating,
            other.model,
        )


def attempt_problems(attempt: Attempt) -> list[Violation]:
    """What no single field shows. Never quotes the attempt: its texts and its user are nobody's business."""
    snapshot, problems = attempt.snapshot, []
    if attempt.exercise_type == POOL_DATASET:
        problems.append(Violation("exercise_type", f"{POOL_DATASET!r} is the dataset of rated outputs; use another"))
    problems += text_problems(question=snapshot.question, answer=snapshot.answer, system=snapshot.system or "-")
    problems += text_problems(attempt_id=attempt.attempt_id, user_id=attempt.user_id)
    if snapshot.choices:
        problems += _choice_problems(snapshot)
    problems += _metadata_problems(snapshot.metadata, attempt.user_id)
    return problems


def text_problems(**texts: str) -> list[Violation]:
    """Of texts that have to become part of a row."""
    problems = []
    for name, text in texts.items():
        if not text.strip():
            problems.append(Violation(name, "is nothing but white space"))
        elif "\0" in text:
            problems.append(Violation(name, "holds a NUL character; remove it"))
    return problems


def _choice_problems(snapshot: Snapshot) -> list[Violation]:
    problems = []
    if len(snapshot.choices) < 2:
        problems.append(Violation("choices", "one choice is none; give at least two, or leave them out"))
    if len(set(snapshot.choices)) < len(snapshot.choices):
        problems.append(Violation("choices", "two of them are equal; each must be told from the others"))
    if snapshot.answer not in snapshot.choices:
        problems.append(Violation("answer", "is none of the choices; give the text of the right one"))
    for place, choice in enumerate(snapshot.choices):
        problems += text_problems(**{f"choices[{place}]": choice})
    return problems


def _metadata_problems(metadata: Mapping[str, Any], user_id: str) -> list[Violation]:
    problems = []
    if _depth(metadata) > _DEEPEST_METADATA:
        problems.append(Violation("metadata", f"nests deeper than {_DEEPEST_METADATA}; make it flatter"))
    texts = list(_texts(metadata))
    if user_id in texts:
        problems.append(Violation("metadata", "holds the user's id, which must not get into a dataset; leave it out"))
    if any("\0" in text for text in texts):
        problems.append(Violation("metadata", "holds a NUL character; remove it"))
    return problems


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _texts(value: Any) -> Iterator[str]:
    """All of them, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def sample_row(attempt_id: str, exercise_type: str, accuracy: float, snapshot: Snapshot) -> dict[str, Any]:
    """One line of a consolidation, in a shape that the ingestion engine reads."""
    metadata = dict(snapshot.metadata) | {"type": exercise_type, "accuracy": accuracy, "attempt": attempt_id}
    if not snapshot.choices:
        return _conversation(snapshot.question, snapshot.answer, metadata, system=snapshot.system)
    # By its place: a choice may read like the letter of another.
    right = list(snapshot.choices).index(snapshot.answer)
    asked = {"question": snapshot.question, "choices": list(snapshot.choices), "answer": right}
    system = {"system": snapshot.system} if snapshot.system else {}
    return system | asked | {"metadata": metadata}


def pooled_row(rating: OutputRating) -> dict[str, Any]:
    """A requirement record where the output is a whole one, so that it is checked as such; else a conversation."""
    model = {"model": rating.model} if rating.model else {}
    metadata = {"type": POOL_DATASET, "rating": rating.rating} | model
    if record := _record_in(rating.output):
        return {"concept": rating.concept} | record | {"metadata": metadata}
    return _conversation(rating.concept, rating.output, metadata)


def _record_in(output: str) -> dict[str, Any]:
    """The fields of a requirement record that is written in YAML; empty when something is missing."""
    try:
        found = read_yaml(output)
    except InvalidYaml:
        return {}
    if not isinstance(found, dict):
        return {}
    texts = {name: found.get(name) for name in _RECORD_TEXTS}
    sections = {name: found.get(name) for name in _RECORD_SECTIONS}
    if not all(isinstance(text, str) and text.strip() for text in texts.values()):
        return {}
    if not all(isinstance(items, list) and items for items in sections.values()):
        return {}
    # As YAML text, which is how profiles want the sections of a record.
    return texts | {name: write_yaml(items) for name, items in sections.items()}


def _conversation(question: str, answer: str, metadata: Mapping[str, Any], *, system: str = "") -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "metadata": dict(metadata)}
