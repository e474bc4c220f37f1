"""Rules that say when a branch is due for training: conditions as data, and what each one makes of the facts.

A rule fires for causes, and once for each: a dataset version, an accuracy cycle, a point in time. The rules here are
pure; that no cause fires twice is held by a unique key where firings are written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fragua_dataset.domain.attempts import AccuracyCycle
from fragua_dataset.domain.samples import SampleCount, TypeSamples, count_samples

_DATASETS_TOLD = 5


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SampleCountCondition(_Frozen):
    """The READY versions to train on hold enough samples of one exercise type. Cause: the type and the version of these
    that was made last.

    Of each dataset the newest version counts, and a sample counts once, whichever datasets hold it.
    """

    kind: Literal["sample_count"] = "sample_count"
    min_samples: int = Field(ge=1)
    exercise_type: str = ""
    """Any type when empty."""


class AccuracyCondition(_Frozen):
    """The branch's mean accuracy is high enough for so many cycles in a row. Cause: the last of these cycles.

    The cycles of one firing do not count towards the next.
    """

    kind: Literal["accuracy"] = "accuracy"
    min_mean_accuracy: float = Field(gt=0, le=1)
    cycles: int = Field(ge=1, le=100)


class ScheduleCondition(_Frozen):
    """By the clock. Cause: the point in time, of several that passed the last one."""

    kind: Literal["schedule"] = "schedule"
    cron: str = Field(min_length=9, max_length=100)
    """Five fields, in UTC."""


Condition = Annotated[SampleCountCondition | AccuracyCondition | ScheduleCondition, Field(discriminator="kind")]
CONDITION: TypeAdapter[Condition] = TypeAdapter(Condition)


@dataclass(frozen=True)
class Trigger:
    branch: str
    id: str
    condition: Condition
    created: datetime
    since: datetime
    """Points in time count from here on: since it was made, changed or enabled."""
    disabled: bool = False
    last_fired: datetime | None = None

    @property
    def name(self) -> str:
        return f"branches/{self.branch}/triggers/{self.id}"


@dataclass(frozen=True)
class Firing:
    """One time that a trigger fired."""

    trigger: str
    """Its resource name."""
    id: str
    cause: str
    why: str
    dataset_versions: Sequence[str]
    """The newest READY versions to train on at that time, one of each dataset."""
    fired: datetime

    @property
    def name(self) -> str:
        return f"{self.trigger}/firings/{self.id}"


@dataclass(frozen=True)
class ReadyVersion:
    """The newest READY version of a dataset that is there to be trained on."""

    name: str
    dataset: str
    """Without its branch."""
    samples: Mapping[str, TypeSamples] = field(default_factory=dict)
    """By exercise type, or "" where rows name none."""


@dataclass(frozen=True)
class Facts:
    """What a rule may know."""

    versions: Sequence[ReadyVersion] = ()
    """The one that was made last first."""
    waiting: Mapping[str, int] = field(default_factory=dict)
    """New samples that no version holds yet, by exercise type."""
    cycles: Sequence[AccuracyCycle] = ()
    """Newest first."""
    due: datetime | None = None
    """The last point of the rule's schedule that has passed since the rule was made."""
    next_due: datetime | None = None
    fired: Collection[str] = ()
    """Causes that the rule fired for."""


@dataclass(frozen=True)
class Cause:
    """Something to fire for."""

    name: str
    why: str


@dataclass(frozen=True)
class Verdict:
    causes: Sequence[Cause] = field(default=())
    why_not: str = ""
    """One sentence with the counts, when there is no cause."""

    @property
    def why(self) -> str:
        return "; ".join(cause.why for cause in self.causes) or self.why_not


def judge(condition: Condition, facts: Facts) -> Verdict:
    match condition:
        case SampleCountCondition():
            return _judge_samples(condition, facts)
        case AccuracyCondition():
            return _judge_accuracy(condition, facts)
        case ScheduleCondition():
            return _judge_schedule(condition, facts)


def _judge_samples(condition: SampleCountCondition, facts: Facts) -> Verdict:
    wanted = condition.exercise_type
    counts = [count for count in _counts(facts.versions) if wanted in ("", count.exercise_type)]
    if not counts:
        why_not = f"no version that is READY to train on holds samples of {wanted or 'any exercise type'}"
        return Verdict(why_not=why_not + _waiting(facts, wanted))
    enough = [count for count in counts if count.samples >= condition.min_samples]
    if not enough:
        why_not = f"{_counted(counts[0])}, at least {condition.min_samples:,} are asked for"
        return Verdict(why_not=why_not + _waiting(facts, counts[0].exercise_type))
    causes = [
        Cause(
            f"{count.newest}#{count.exercise_type}",
            f"{_counted(count)}, at least {condition.min_samples:,} were asked for",
        )
        for count in enough
    ]
    new = [cause for cause in causes if cause.name not in facts.fired]
    known = ", ".join(cause.name for cause in causes)
    return Verdict(new, "" if new else f"it fired for {known} already; it waits for a new version")


def _counts(versions: Sequence[ReadyVersion]) -> Sequence[SampleCount]:
    return count_samples(
        (exercise_type or version.dataset, version.dataset, version.name, samples)
        for version in versions
        for exercise_type, samples in version.samples.items()
    )


def _counted(count: SampleCount) -> str:
    """With the datasets that they are in, unless that goes without saying."""
    told = f"{count.exercise_type} has {'' if count.exact else 'at least '}{count.samples:,} samples"
    if list(count.by_dataset) == [count.exercise_type]:
        return told
    most = sorted(count.by_dataset.items(), key=lambda each: (-each[1], each[0]))
    places = [f"{samples:,} in {dataset}" for dataset, samples in most[:_DATASETS_TOLD]]
    if further := len(most) - len(places):
        places.append(f"others in {further} more")
    return f"{told} ({', '.join(places)})"


def _waiting(facts: Facts, exercise_type: str) -> str:
    """Of one type, or of all when empty."""
    waiting = facts.waiting.get(exercise_type, 0) if exercise_type else sum(facts.waiting.values())
    return f"; {waiting:,} more wait for the next consolidation" if waiting else ""


def _judge_accuracy(condition: AccuracyCondition, facts: Facts) -> Verdict:
    counted_until = max((cycle.number for cycle in facts.cycles if cycle.name in facts.fired), default=0)
    recent = [cycle for cycle in facts.cycles if cycle.number > counted_until][: condition.cycles]
    means = ", ".join(f"{cycle.mean_accuracy:.1%}" for cycle in reversed(recent))
    asked = f"at least {condition.min_mean_accuracy:.1%} in {condition.cycles} cycles in a row"
    if len(recent) < condition.cycles:
        since = " since it last fired" if counted_until else ""
        shown = f" ({means})" if means else ""
        return Verdict(why_not=f"{len(recent)} cycles have ended{since}{shown}; asked for is {asked}")
    if any(cycle.mean_accuracy < condition.min_mean_accuracy for cycle in recent):
        return Verdict(
            why_not=f"the mean accuracy of the last {condition.cycles} cycles was {means}; asked for is {asked}"
        )
    attempts = sum(cycle.attempts for cycle in recent)
    why = (
        f"the mean accuracy of the last {condition.cycles} cycles was {means} over {attempts:,} attempts, "
        f"{asked} was asked for"
    )
    return Verdict([Cause(recent[0].name, why)])


def _judge_schedule(condition: ScheduleCondition, facts: Facts) -> Verdict:
    if facts.due and (cause := f"{facts.due:%Y-%m-%dT%H:%M:%SZ}") not in facts.fired:
        return Verdict([Cause(cause, f"`{condition.cron}` was due at {facts.due:%Y-%m-%d %H:%M} UTC")])
    following = f"{facts.next_due:%Y-%m-%d %H:%M} UTC" if facts.next_due else "never again"
    return Verdict(why_not=f"`{condition.cron}` is due next at {following}")
