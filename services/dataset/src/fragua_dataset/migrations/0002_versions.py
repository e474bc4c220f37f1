"""Versions get rows of their own beside their jobs, since people decide on them after the job has ended."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.engine import Connection

from fragua_platform.database import Timestamp

revision = "0002"
down_revision = "0001"

_STATES = {"SUCCEEDED": "READY", "FAILED": "INVALID", "CANCELLED": "INVALID"}


def upgrade() -> None:
    versions = op.create_table(
        "dataset_versions",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("branch", sa.String(64), nullable=False),
        sa.Column("dataset", sa.String(128), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("evaluation", sa.Boolean, nullable=False),
        sa.Column("parents", sa.JSON, nullable=False),
        sa.Column("lineage", sa.JSON, nullable=False),
        sa.Column("requires_approval", sa.Boolean, nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("bundle", sa.JSON(none_as_null=True)),
        sa.Column("created", Timestamp, nullable=False),
    )
    op.create_index("ix_dataset_versions_branch", "dataset_versions", ["branch", "created", "name"])
    op.create_index("ix_dataset_versions_dataset", "dataset_versions", ["dataset", "created", "name"])
    op.create_table(
        "dataset_reviews",
        sa.Column("version", sa.String(256), primary_key=True),
        sa.Column("state", sa.String(32), primary_key=True),
        sa.Column("reviewer", sa.String(120), nullable=False),
        sa.Column("reason", sa.String(2000), nullable=False),
        sa.Column("sample_seed", sa.BigInteger, nullable=False),
        sa.Column("sample_size", sa.Integer, nullable=False),
        sa.Column("reviewed", Timestamp, nullable=False),
    )
    op.create_table(
        "dataset_signatures",
        sa.Column("version", sa.String(256), primary_key=True),
        sa.Column("public_key", sa.String(64), primary_key=True),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.Column("signer", sa.String(120), nullable=False),
        sa.Column("signed", Timestamp, nullable=False),
    )
    _give_rows_to_imports(op.get_bind(), versions)


def _give_rows_to_imports(connection: Connection, versions: sa.Table) -> None:
    """Until now a version was its import job alone, and the job's `spec` an import order."""
    jobs = sa.table(
        "jobs",
        sa.column("id", sa.String),
        sa.column("kind", sa.String),
        sa.column("branch", sa.String),
        sa.column("name", sa.String),
        sa.column("spec", sa.JSON),
        sa.column("state", sa.String),
        sa.column("result", sa.JSON),
        sa.column("created", Timestamp),
    )
    for job in connection.execute(jobs.select().where(jobs.c.kind == "import")).all():
        order = _version_order(job.spec)
        findings = {name: value for name, value in job.result.items() if name != "bundle"}
        connection.execute(jobs.update().where(jobs.c.id == job.id).values(kind="version", spec=order))
        connection.execute(
            versions.insert().values(
                name=job.name,
                branch=job.branch,
                dataset=order["dataset"],
                state=_STATES.get(job.state, "VALIDATING"),
                origin="IMPORT",
                profile=order["spec"]["profile"]["name"],
                evaluation=False,
                parents=[],
                lineage=order["lineage"],
                requires_approval=False,
                findings=findings,
                bundle=job.result.get("bundle") if job.state == "SUCCEEDED" else None,
                created=job.created,
            )
        )


def _version_order(order: dict[str, Any]) -> dict[str, Any]:
    spec = dict(order["spec"])
    profile = {
        "name": "instruct",
        "min_examples": spec.pop("min_examples", 1),
        "answer": {"min_chars": spec.pop("min_answer_chars", 1)},
    }
    return {
        "dataset": order["dataset"],
        "origin": "IMPORT",
        "filename": order["filename"],
        "source": {"key": order["source_key"], "size": order["source_size"], "sha256": order["source_sha256"]},
        "lineage": [order["dataset"]],
        "spec": {"profile": profile} | spec,
    }
