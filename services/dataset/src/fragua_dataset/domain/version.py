"""The life of a dataset version as pure functions: what may happen when, with no clock, database or queue.

    VALIDATING -> INVALID
        |
        +-> AWAITING_APPROVAL -> READY | REJECTED
        +-> READY                                   where nobody has to approve it
    READY -> ARCHIVED, REJECTED -> ARCHIVED

The job that makes a version decides when it leaves VALIDATING; from then on people do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.version_report import FilterReport, FixReport, TruncationReport
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.errors import FailedPrecondition


class VersionState(StrEnum):
    VALIDATING = "VALIDATING"
    INVALID = "INVALID"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    READY = "READY"
    REJECTED = "REJECTED"
    ARCHIVED = "ARCHIVED"


class Origin(StrEnum):
    """What a version was made from."""

    IMPORT = "IMPORT"
    FIX = "FIX"
    FILTER = "FILTER"
    SPLIT = "SPLIT"
    MERGE = "MERGE"
    CONSOLIDATION = "CONSOLIDATION"
    SYNTHESIS = "SYNTHESIS"


class Findings(BaseModel):
    """What was found while the version was made; empty until that is through."""

    model_config = ConfigDict(frozen=True)

    rows: int = 0
    """Records of the source, good or bad."""
    train_rows: int = 0
    validation_rows: int = 0
    problem_counts: dict[str, int] = Field(default_factory=dict)
    truncation: tuple[TruncationReport, ...] = ()
    fixes: FixReport | None = None
    selection: FilterReport | None = None

    @property
    def problems(self) -> int:
        return sum(self.problem_counts.values())


@dataclass(frozen=True)
class Review:
    """Who decided on a version, how and why."""

    reviewer: str
    reason: str
    time: datetime
    sample_seed: int = 0
    """Seed and size of the sample that the reviewer looked at; no sample when the size is 0."""
    sample_size: int = 0

    def says_the_same_as(self, other: Review | None) -> bool:
        return other is not None and replace(other, time=self.time) == self


SIGNED_KIND = "dataset version"
"""What a signature says that it is over."""


@dataclass(frozen=True)
class Signature:
    """Ed25519 over the digest of a version's manifest; the keys and signatures as they are on the wire."""

    signer: str
    public_key: bytes
    signature: bytes
    time: datetime


@dataclass(frozen=True)
class Version:
    name: str
    """`branches/{branch}/datasets/{dataset}/versions/{version}`; the name of its job, too."""
    origin: Origin
    created: datetime
    profile: str
    """Name of the profile that its rows were checked by."""
    state: VersionState = VersionState.VALIDATING
    evaluation: bool = False
    """It is to evaluate with, not to train on."""
    parents: tuple[str, ...] = ()
    lineage: tuple[str, ...] = ()
    """Names of all datasets that its rows went through, its own included."""
    requires_approval: bool = False
    findings: Findings = field(default_factory=Findings)
    bundle: Bundle | None = None
    """Its files; None until they are complete, and for ever in INVALID."""
    review: Review | None = None
    """The latest one."""
    signatures: tuple[Signature, ...] = ()

    @property
    def branch(self) -> str:
        return self.name.split("/")[1]

    @property
    def dataset(self) -> str:
        return self.name.partition("/versions/")[0]


def made(version: Version, findings: Findings, bundle: Bundle) -> Version:
    """Its job succeeded: READY, unless somebody has to look at it first."""
    state = VersionState.AWAITING_APPROVAL if version.requires_approval else VersionState.READY
    return replace(version, state=state, findings=findings, bundle=bundle)


def found_invalid(version: Version, findings: Findings) -> Version:
    """Its job ended without a version: problems, a failure or a cancellation."""
    return replace(version, state=VersionState.INVALID, findings=findings)


def approved(version: Version, review: Review) -> Version:
    return _reviewed(version, {VersionState.AWAITING_APPROVAL}, VersionState.READY, review)


def rejected(version: Version, review: Review) -> Version:
    return _reviewed(version, {VersionState.AWAITING_APPROVAL}, VersionState.REJECTED, review)


def archived(version: Version, review: Review) -> Version:
    return _reviewed(version, {VersionState.READY, VersionState.REJECTED}, VersionState.ARCHIVED, review)


def _reviewed(version: Version, before: set[VersionState], after: VersionState, review: Review) -> Version:
    if version.state is after and review.says_the_same_as(version.review):
        return version  # The same call again, because its first answer was lost.
    if version.state not in before:
        expected = " or ".join(sorted(before))
        raise FailedPrecondition(f"{version.name} is {_explained(version)}; only {expected} can become {after}")
    return replace(version, state=after, review=review)


def require_files(version: Version) -> Bundle:
    """The files of a version, to look at."""
    if version.bundle is None:
        raise FailedPrecondition(f"{version.name} is {_explained(version)}, so it has no rows")
    return version.bundle


def require_usable_rows(version: Version) -> Bundle:
    """The files of a version, to make another one from."""
    if version.state is VersionState.ARCHIVED:
        raise FailedPrecondition(f"{version.name} is {_explained(version)}; make the new version from a later one")
    return require_files(version)


def leaves_to_approve(version: Version) -> bool:
    """Nobody has approved its rows, though somebody has to; so has somebody with every version made from them."""
    match version.state:
        case VersionState.AWAITING_APPROVAL | VersionState.REJECTED:
            return True
        case VersionState.INVALID:
            return version.requires_approval
    return False


def signable(version: Version) -> Bundle:
    if version.state not in (VersionState.AWAITING_APPROVAL, VersionState.READY):
        raise FailedPrecondition(f"{version.name} is {_explained(version)}; sign it while it waits or is READY")
    return require_files(version)


def _explained(version: Version) -> str:
    """The state, and who made it so."""
    if version.review is None:
        return version.state
    return f"{version.state} (by {version.review.reviewer}: {version.review.reason})"
