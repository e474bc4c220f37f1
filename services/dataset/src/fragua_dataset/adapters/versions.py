"""Dataset versions in SQL: each row is kept in step with its job, then changed by reviews, and every change is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua.common.v1 import artifact_pb2
from fragua.dataset.v1 import dataset_events_pb2
from fragua_dataset.adapters.samples import write_samples
from fragua_dataset.adapters.tables import dataset_reviews, dataset_signatures, dataset_versions
from fragua_dataset.domain.samples import VersionSamples
from fragua_dataset.domain.version import (
    Findings,
    Origin,
    Review,
    Signature,
    Version,
    VersionState,
    found_invalid,
    made,
)
from fragua_dataset.domain.version_order import VersionOrder
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.errors import FailedPrecondition, NotFound
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.events.outbox import Outbox
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.messages import bundle_to_message
from fragua_platform.paging import Page, PageRequest
from fragua_platform.telemetry import current_traceparent

VERSION_KINDS = frozenset({"version", "synthesis"})
"""Kinds of job that make a version; the `spec` of each is a `VersionOrder`."""


class VersionTable:
    """Implements `VersionRecords` of the application; `follow` is the job store's `on_change`."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    # --- versions follow their jobs

    def follow(self, connection: Connection, job: Job) -> Sequence[CloudEvent]:
        """Bring the version's row in step with its job; one that left VALIDATING tells so."""
        if job.kind not in VERSION_KINDS:
            return []
        before = self._find(connection, job.name) or self._begin(connection, job)
        after = _outcome(before, job)
        if after is before:
            return []
        self._write(connection, before, after)
        return _events(after, job.traceparent)

    def _begin(self, connection: Connection, job: Job) -> Version:
        order = VersionOrder.model_validate(job.spec)
        version = Version(
            name=job.name,
            origin=order.origin,
            created=job.created,
            profile=order.spec.profile.name,
            evaluation=order.spec.evaluation,
            parents=order.parents,
            lineage=order.lineage,
            requires_approval=order.requires_approval,
        )
        connection.execute(
            dataset_versions.insert().values(
                name=version.name,
                branch=version.branch,
                dataset=version.dataset,
                state=version.state.value,
                origin=version.origin.value,
                profile=version.profile,
                evaluation=version.evaluation,
                parents=list(version.parents),
                lineage=list(version.lineage),
                requires_approval=version.requires_approval,
                findings=version.findings.model_dump(mode="json"),
                created=version.created,
            )
        )
        return version

    def keep_samples(self, connection: Connection, version: str, samples: VersionSamples) -> None:
        """What a version holds of each exercise type, before it is READY; doing it again changes nothing."""
        write_samples(connection, version, samples)

    # --- what people decide

    def review(self, connection: Connection, before: Version, after: Version, review: Review) -> None:
        """Write a decision and tell of it; `FailedPrecondition` when somebody else was faster."""
        self._write(connection, before, after)
        connection.execute(
            dataset_reviews.insert().values(
                version=after.name,
                state=after.state.value,
                reviewer=review.reviewer,
                reason=review.reason,
                sample_seed=review.sample_seed,
                sample_size=review.sample_size,
                reviewed=review.time,
            )
        )
        for event in _events(after, current_traceparent()):
            self._outbox.add_event(connection, event)

    def add_signature(self, connection: Connection, version: Version, signature: Signature) -> None:
        """The latest signature of a key counts."""
        key = {"version": version.name, "public_key": signature.public_key.hex()}
        table = dataset_signatures
        connection.execute(table.delete().where(*(table.c[column] == value for column, value in key.items())))
        values = {"signature": signature.signature.hex(), "signer": signature.signer, "signed": signature.time}
        connection.execute(table.insert().values(**key, **values))

    # --- what is asked

    def get(self, connection: Connection, name: str) -> Version:
        if version := self._find(connection, name):
            return version
        raise NotFound(f"{name} does not exist")

    def list(self, connection: Connection, parent: str, page: PageRequest) -> Page[Version]:
        """Those of a branch or of one dataset, newest first."""
        table = dataset_versions.c
        query = dataset_versions.select()
        if "/datasets/" in parent:
            query = query.where(table.dataset == parent)
        else:
            query = query.where(table.branch == parent.removeprefix("branches/"))
        if page.after:
            at, last = page.instant(0), page.after[1]
            query = query.where(sa.or_(table.created < at, sa.and_(table.created == at, table.name < last)))
        query = query.order_by(table.created.desc(), table.name.desc()).limit(page.size + 1)
        versions = self._versions(connection, query)
        return page.cut(versions, lambda version: [version.created.isoformat(), version.name])

    def latest_usable(self, connection: Connection, branch: str) -> Sequence[Version]:
        """Of each dataset of the branch the newest version that is or may become READY; newest first."""
        table = dataset_versions.c
        newest_first = (table.created.desc(), table.name.desc())
        usable = [VersionState.READY.value, VersionState.AWAITING_APPROVAL.value]
        ranked = (
            sa.select(
                table.name, sa.func.row_number().over(partition_by=table.dataset, order_by=newest_first).label("rank")
            )
            .where(table.branch == branch, table.state.in_(usable))
            .subquery()
        )
        names = sa.select(ranked.c.name).where(ranked.c.rank == 1)
        return self._versions(
            connection, dataset_versions.select().where(table.name.in_(names)).order_by(*newest_first)
        )

    def _find(self, connection: Connection, name: str) -> Version | None:
        found = self._versions(connection, dataset_versions.select().where(dataset_versions.c.name == name))
        return found[0] if found else None

    def _versions(self, connection: Connection, query: sa.Select[Any]) -> Sequence[Version]:
        rows = connection.execute(query).all()
        names = [row.name for row in rows]
        reviews = _by_version(connection, dataset_reviews, names, [dataset_reviews.c.reviewed, dataset_reviews.c.state])
        signatures = _by_version(connection, dataset_signatures, names, [dataset_signatures.c.signed])
        return [_version(row, reviews.get(row.name, []), signatures.get(row.name, [])) for row in rows]

    def _write(self, connection: Connection, before: Version, after: Version) -> None:
        table = dataset_versions
        query = table.update().where(table.c.name == before.name, table.c.state == before.state.value)
        values = {
            "state": after.state.value,
            "findings": after.findings.model_dump(mode="json"),
            "bundle": after.bundle.model_dump(mode="json") if after.bundle else None,
        }
        if connection.execute(query.values(**values)).rowcount != 1:
            raise FailedPrecondition(f"somebody else decided on {before.name} this very moment; look at it again")


def _by_version(
    connection: Connection, table: sa.Table, names: Sequence[str], order: Iterable[Any]
) -> dict[str, list[sa.Row[Any]]]:
    grouped: dict[str, list[sa.Row[Any]]] = {}
    if names:
        for row in connection.execute(table.select().where(table.c.version.in_(names)).order_by(*order)):
            grouped.setdefault(row.version, []).append(row)
    return grouped


def _version(row: sa.Row[Any], reviews: Sequence[sa.Row[Any]], signatures: Sequence[sa.Row[Any]]) -> Version:
    latest = reviews[-1] if reviews else None
    return Version(
        name=row.name,
        origin=Origin(row.origin),
        created=row.created,
        profile=row.profile,
        state=VersionState(row.state),
        evaluation=row.evaluation,
        parents=tuple(row.parents),
        lineage=tuple(row.lineage),
        requires_approval=row.requires_approval,
        findings=Findings.model_validate(row.findings),
        bundle=Bundle.model_validate(row.bundle) if row.bundle else None,
        review=latest
        and Review(latest.reviewer, latest.reason, latest.reviewed, latest.sample_seed, latest.sample_size),
        signatures=tuple(
            Signature(each.signer, bytes.fromhex(each.public_key), bytes.fromhex(each.signature), each.signed)
            for each in signatures
        ),
    )


def _outcome(version: Version, job: Job) -> Version:
    if not job.state.terminal or version.state is not VersionState.VALIDATING:
        return version
    result = dict(job.result)
    bundle = result.pop("bundle", None)
    findings = Findings.model_validate(result)
    if job.state is JobState.SUCCEEDED:
        return made(version, findings, Bundle.model_validate(bundle))
    return found_invalid(version, findings)


def _events(version: Version, traceparent: str) -> list[CloudEvent]:
    """What a version that has just entered its state tells the others."""
    message: (
        dataset_events_pb2.DatasetVersionReady
        | dataset_events_pb2.DatasetVersionInvalid
        | dataset_events_pb2.DatasetVersionAwaitingApproval
        | dataset_events_pb2.DatasetVersionReviewed
    )
    findings = version.findings
    match version.state:
        case VersionState.READY:
            name = "ready"
            message = dataset_events_pb2.DatasetVersionReady(
                dataset_version=version.name,
                branch=version.branch,
                train_row_count=findings.train_rows,
                validation_row_count=findings.validation_rows,
                bundle=bundle_to_message(version.bundle) if version.bundle else artifact_pb2.Bundle(),
            )
        case VersionState.INVALID:
            name = "invalid"
            message = dataset_events_pb2.DatasetVersionInvalid(
                dataset_version=version.name, branch=version.branch, count_by_code=findings.problem_counts
            )
        case VersionState.AWAITING_APPROVAL:
            name = "awaiting-approval"
            message = dataset_events_pb2.DatasetVersionAwaitingApproval(
                dataset_version=version.name,
                branch=version.branch,
                train_row_count=findings.train_rows,
                validation_row_count=findings.validation_rows,
            )
        case VersionState.REJECTED:
            name = "rejected"
            message = _reviewed(version)
        case VersionState.ARCHIVED:
            name = "archived"
            message = _reviewed(version)
        case VersionState.VALIDATING:
            return []
    return [new_event(version.branch, "dataset", "version", name, message, traceparent=traceparent)]


def _reviewed(version: Version) -> dataset_events_pb2.DatasetVersionReviewed:
    review = version.review
    return dataset_events_pb2.DatasetVersionReviewed(
        dataset_version=version.name,
        branch=version.branch,
        reviewer=review.reviewer if review else "",
        reason=review.reason if review else "",
    )
