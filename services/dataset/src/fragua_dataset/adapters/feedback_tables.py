"""The tables of what learners and users do, of the policies about it, and of the triggers that it sets off."""

from __future__ import annotations

import sqlalchemy as sa

from fragua_dataset.adapters.tables import metadata
from fragua_platform.database import Timestamp

branch_policies = sa.Table(
    "branch_policies",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("schedule_since", Timestamp, nullable=False),
    sa.Column("updated", Timestamp, nullable=False),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("attempt_id", sa.String(128), primary_key=True),
)
"""Which attempts are known, of whatever accuracy: each counts once."""

user_branch_progress = sa.Table(
    "user_branch_progress",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("attempt_id", sa.String(128), primary_key=True),
    sa.Column("user_id", sa.String(128), nullable=False),
    sa.Column("exercise_type", sa.String(64), nullable=False),
    sa.Column("accuracy", sa.Float, nullable=False),
    sa.Column("dataset_snapshot", sa.JSON, nullable=False),
    sa.Column("attempted", Timestamp, nullable=False),
    sa.Index("ix_user_branch_progress_user", "branch", "user_id"),
)
"""Who was right, and how: the only place of user ids, and of right answers until they become rows of a version.

On PostgreSQL row security hides its rows from every role but the owner: see migration 0003.
"""

samples = sa.Table(
    "samples",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("attempt_id", sa.String(128), primary_key=True),
    sa.Column("exercise_type", sa.String(64), nullable=False),
    sa.Column("accuracy", sa.Float, nullable=False),
    sa.Column("consolidation", sa.Integer),
    sa.Index("ix_samples_consolidation", "branch", "exercise_type", "consolidation"),
)
"""Attempts that were good enough, without user and texts. `consolidation` is the first one that took them in."""

exercise_type_progress = sa.Table(
    "exercise_type_progress",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("exercise_type", sa.String(64), primary_key=True),
    sa.Column("samples", sa.BigInteger, nullable=False),
    sa.Column("new_samples", sa.BigInteger, nullable=False),
    sa.Column("below_accuracy", sa.BigInteger, nullable=False),
    sa.Column("accuracy_sum", sa.Float, nullable=False),
    sa.Column("cycle_attempts", sa.BigInteger, nullable=False),
    sa.Column("cycle_accuracy_sum", sa.Float, nullable=False),
)
"""Counts of attempts, so that nobody has to count rows; those of the cycle begin anew when it ends."""

accuracy_cycles = sa.Table(
    "accuracy_cycles",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("ended", Timestamp, nullable=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("mean_accuracy", sa.Float, nullable=False),
)

output_ratings = sa.Table(
    "output_ratings",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("concept", sa.Text, nullable=False),
    sa.Column("output", sa.Text, nullable=False),
    sa.Column("rating", sa.Integer, nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("pooled", sa.Boolean, nullable=False),
    sa.Column("consolidation", sa.Integer),
    sa.Column("created", Timestamp, nullable=False),
    sa.UniqueConstraint("branch", "request_id", name="uq_output_ratings_request"),
    sa.Index("ix_output_ratings_pool", "branch", "pooled", "consolidation"),
)

consolidations = sa.Table(
    "consolidations",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("cause", sa.String(128), nullable=False),
    sa.Column("exercise_type", sa.String(64), nullable=False),
    sa.Column("datasets", sa.JSON, nullable=False),
    sa.Column("dataset_versions", sa.JSON, nullable=False),
    sa.Column("begun", Timestamp, nullable=False),
    sa.Column("completed", Timestamp),
    sa.UniqueConstraint("branch", "cause", name="uq_consolidations_cause"),
    sa.Index("ix_consolidations_completed", "completed"),
)
"""One row for each cause, a request or a point of the schedule: whoever inserts it first consolidates."""

triggers = sa.Table(
    "triggers",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("condition", sa.JSON, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created", Timestamp, nullable=False),
    sa.Column("since", Timestamp, nullable=False),
    sa.Column("last_fired", Timestamp),
)

trigger_firings = sa.Table(
    "trigger_firings",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("trigger", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("cause", sa.String(256), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("dataset_versions", sa.JSON, nullable=False),
    sa.Column("fired", Timestamp, nullable=False),
    sa.UniqueConstraint("branch", "trigger", "cause", name="uq_trigger_firings_cause"),
)
"""That no trigger fires twice for one cause is this table's unique key."""
