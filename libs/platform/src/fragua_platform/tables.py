"""Tables that every service has besides its own: jobs, the outbox and the inbox.

`metadata` is what queries are written against; the migrations below are what databases were made with. They are kept
apart so that an old migration never changes when a table does; a test holds the two against each other.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp

# SQLite counts up by itself only in a column of this very type, which there holds 64 bits as well.
_COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def define_platform_tables(metadata: sa.MetaData) -> None:
    sa.Table(
        "jobs",
        metadata,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("branch", sa.String(64), nullable=False),
        sa.Column("name", sa.String(256), nullable=False, unique=True),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("pause_requested", sa.Boolean, nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("lease_expires", Timestamp),
        sa.Column("not_before", Timestamp),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("failure", sa.JSON),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("traceparent", sa.String(64), nullable=False),
        sa.Column("created", Timestamp, nullable=False),
        sa.Column("updated", Timestamp, nullable=False),
        sa.Column("started", Timestamp),
        sa.Column("ended", Timestamp),
        sa.Column("enqueued", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("message", sa.String(128), nullable=False, server_default=sa.text("''")),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.UniqueConstraint("branch", "request_id", name="uq_jobs_request"),
        sa.Index("ix_jobs_branch_created", "branch", "created", "id"),
        sa.Index("ix_jobs_branch_started", "branch", "started"),
        sa.Index("ix_jobs_message", "message"),
        sa.Index("ix_jobs_state", "state"),
    )
    sa.Table(
        "outbox",
        metadata,
        sa.Column("position", _COUNTER, primary_key=True, autoincrement=True),
        sa.Column("message_id", sa.String(128), nullable=False, unique=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("created", Timestamp, nullable=False),
        sa.Column("sent", Timestamp),
        sa.Index("ix_outbox_sent", "sent", "position"),
    )
    sa.Table(
        "inbox",
        metadata,
        sa.Column("consumer", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(128), primary_key=True),
        sa.Column("handled", Timestamp, nullable=False),
    )


def create_platform_tables_0001() -> None:
    """First shape of the three tables; call it from a service's first migration."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("branch", sa.String(64), nullable=False),
        sa.Column("name", sa.String(256), nullable=False, unique=True),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("pause_requested", sa.Boolean, nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("lease_expires", Timestamp),
        sa.Column("not_before", Timestamp),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("failure", sa.JSON),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("traceparent", sa.String(64), nullable=False),
        sa.Column("created", Timestamp, nullable=False),
        sa.Column("updated", Timestamp, nullable=False),
        sa.Column("started", Timestamp),
        sa.Column("ended", Timestamp),
        sa.Column("enqueued", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.UniqueConstraint("branch", "request_id", name="uq_jobs_request"),
    )
    op.create_index("ix_jobs_branch_created", "jobs", ["branch", "created", "id"])
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_table(
        "outbox",
        sa.Column("position", _COUNTER, primary_key=True, autoincrement=True),
        sa.Column("message_id", sa.String(128), nullable=False, unique=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("created", Timestamp, nullable=False),
        sa.Column("sent", Timestamp),
    )
    op.create_index("ix_outbox_sent", "outbox", ["sent", "position"])
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(128), primary_key=True),
        sa.Column("handled", Timestamp, nullable=False),
    )


def add_turns_0002(service: str) -> None:
    """What the order of waiting jobs needs: priorities, and which message stands for which job."""
    # The defaults are for workers of the former release that still write.
    op.add_column("jobs", sa.Column("message", sa.String(128), nullable=False, server_default=sa.text("''")))
    op.add_column("jobs", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.create_index("ix_jobs_message", "jobs", ["message"])
    op.create_index("ix_jobs_branch_started", "jobs", ["branch", "started"])
    jobs = sa.table("jobs", sa.column("id"), sa.column("message"), sa.column("enqueued"))
    enqueued = sa.cast(jobs.c.enqueued, sa.String)
    op.execute(jobs.update().values(message=sa.literal(f"{service}:") + jobs.c.id + ":" + enqueued))
