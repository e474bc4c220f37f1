"""The life of a dataset version: which decisions it takes in which state, and what they leave."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fragua_dataset.domain.version import (
    Findings,
    Origin,
    Review,
    Version,
    VersionState,
    approved,
    archived,
    found_invalid,
    leaves_to_approve,
    made,
    rejected,
    require_files,
    require_usable_rows,
    signable,
)
from fragua_platform.artifacts.manifest import Bundle, Manifest
from fragua_platform.errors import FailedPrecondition

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NEW = Version(
    name="branches/tutor/datasets/refranes/versions/20261120T120000Z",
    origin=Origin.IMPORT,
    created=NOW,
    profile="instruct",
)
BUNDLE = Bundle(
    manifest=Manifest(prefix="datasets/tutor/refranes/20261120T120000Z", files=()), manifest_sha256="0" * 64
)
REVIEW = Review("Íñigo Muñoz", "La muestra está bien escrita.", NOW, sample_seed=7, sample_size=20)
DECISIONS = {"approved": approved, "rejected": rejected, "archived": archived}


def version(state: VersionState) -> Version:
    return replace(NEW, state=state, bundle=None if state in ("VALIDATING", "INVALID") else BUNDLE)


# R16
def test_a_valid_version_is_ready_at_once_unless_somebody_has_to_approve_it() -> None:
    findings = Findings(rows=3, train_rows=2, validation_rows=1)
    ready = made(NEW, findings, BUNDLE)
    assert (ready.state, ready.findings, ready.bundle) == (VersionState.READY, findings, BUNDLE)
    assert made(replace(NEW, requires_approval=True), findings, BUNDLE).state is VersionState.AWAITING_APPROVAL


def test_a_version_whose_job_failed_is_invalid_and_has_no_files() -> None:
    invalid = found_invalid(NEW, Findings(rows=3, problem_counts={"EMPTY_TEXT": 2, "BARE_ANSWER": 1}))
    assert invalid.state is VersionState.INVALID
    assert invalid.findings.problems == 3
    with pytest.raises(FailedPrecondition, match="is INVALID, so it has no rows"):
        require_files(invalid)


@pytest.mark.parametrize(
    ("decision", "before", "after"),
    [
        ("approved", VersionState.AWAITING_APPROVAL, VersionState.READY),
        ("rejected", VersionState.AWAITING_APPROVAL, VersionState.REJECTED),
        ("archived", VersionState.READY, VersionState.ARCHIVED),
        ("archived", VersionState.REJECTED, VersionState.ARCHIVED),
    ],
)
def test_a_decision_leads_from_one_state_to_another_and_is_kept(
    decision: str, before: VersionState, after: VersionState
) -> None:
    decided = DECISIONS[decision](version(before), REVIEW)
    assert (decided.state, decided.review) == (after, REVIEW)


TAKEN = {
    "approved": {VersionState.AWAITING_APPROVAL},
    "rejected": {VersionState.AWAITING_APPROVAL},
    "archived": {VersionState.READY, VersionState.REJECTED},
}


@pytest.mark.parametrize(
    ("decision", "state"),
    [(decision, state) for decision, taken in TAKEN.items() for state in VersionState if state not in taken],
)
def test_every_other_decision_is_refused_with_the_state_that_would_take_it(decision: str, state: VersionState) -> None:
    with pytest.raises(FailedPrecondition, match=f"is {state}.*; only "):
        DECISIONS[decision](version(state), REVIEW)


def test_the_same_decision_again_changes_nothing_and_another_one_is_told_who_was_first() -> None:
    rejection = rejected(version(VersionState.AWAITING_APPROVAL), REVIEW)
    later = replace(REVIEW, time=NOW + timedelta(seconds=5))
    assert rejected(rejection, later) is rejection
    with pytest.raises(FailedPrecondition, match=r"REJECTED \(by Íñigo Muñoz: La muestra"):
        rejected(rejection, replace(REVIEW, reviewer="Begoña"))
    with pytest.raises(FailedPrecondition, match="only AWAITING_APPROVAL can become READY"):
        approved(rejection, REVIEW)


def test_new_versions_are_made_from_valid_ones_that_are_not_archived() -> None:
    for state in (VersionState.AWAITING_APPROVAL, VersionState.READY, VersionState.REJECTED):
        assert require_usable_rows(version(state)) is BUNDLE
    for state in (VersionState.VALIDATING, VersionState.INVALID, VersionState.ARCHIVED):
        with pytest.raises(FailedPrecondition, match=f"is {state}"):
            require_usable_rows(version(state))


def test_rows_that_nobody_approved_leave_it_to_approve_to_what_is_made_from_them() -> None:
    left = {state for state in VersionState if leaves_to_approve(version(state))}
    assert left == {VersionState.AWAITING_APPROVAL, VersionState.REJECTED}
    assert leaves_to_approve(replace(version(VersionState.INVALID), requires_approval=True))


def test_a_version_is_signed_while_it_waits_or_is_ready() -> None:
    taken = {state for state in VersionState if _signs(version(state))}
    assert taken == {VersionState.AWAITING_APPROVAL, VersionState.READY}


def _signs(found: Version) -> bool:
    try:
        return signable(found) is BUNDLE
    except FailedPrecondition:
        return False
