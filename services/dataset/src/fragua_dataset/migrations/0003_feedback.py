"""Policies, attempts, ratings, consolidations and triggers."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "branch_policies",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("schedule_since", Timestamp, nullable=False),
        sa.Column("updated", Timestamp, nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("attempt_id", sa.String(128), primary_key=True),
    )
    op.create_table(
        "user_branch_progress",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("attempt_id", sa.String(128), primary_key=True),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("exercise_type", sa.String(64), nullable=False),
        sa.Column("accuracy", sa.Float, nullable=False),
        sa.Column("dataset_snapshot", sa.JSON, nullable=False),
        sa.Column("attempted", Timestamp, nullable=False),
    )
    op.create_index("ix_user_branch_progress_user", "user_branch_progress", ["branch", "user_id"])
    _hide_from_other_roles("user_branch_progress")
    op.create_table(
        "samples",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("attempt_id", sa.String(128), primary_key=True),
        sa.Column("exercise_type", sa.String(64), nullable=False),
        sa.Column("accuracy", sa.Float, nullable=False),
        sa.Column("consolidation", sa.Integer),
    )
    op.create_index("ix_samples_consolidation", "samples", ["branch", "exercise_type", "consolidation"])
    op.create_table(
        "exercise_type_progress",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("exercise_type", sa.String(64), primary_key=True),
        sa.Column("samples", sa.BigInteger, nullable=False),
        sa.Column("new_samples", sa.BigInteger, nullable=False),
        sa.Column("below_accuracy", sa.BigInteger, nullable=False),
        sa.Column("accuracy_sum", sa.Float, nullable=False),
        sa.Column("cycle_attempts", sa.BigInteger, nullable=False),
        sa.Column("cycle_accuracy_sum", sa.Float, nullable=False),
    )
    op.create_table(
        "accuracy_cycles",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ended", Timestamp, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("mean_accuracy", sa.Float, nullable=False),
    )
    op.create_table(
        "output_ratings",
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
    )
    op.create_index("ix_output_ratings_pool", "output_ratings", ["branch", "pooled", "consolidation"])
    op.create_table(
        "consolidations",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("cause", sa.String(128), nullable=False),
        sa.Column("exercise_type", sa.String(64), nullable=False),
        sa.Column("datasets", sa.JSON, nullable=False),
        sa.Column("dataset_versions", sa.JSON, nullable=False),
        sa.Column("begun", Timestamp, nullable=False),
        sa.Column("completed", Timestamp),
        sa.UniqueConstraint("branch", "cause", name="uq_consolidations_cause"),
    )
    op.create_index("ix_consolidations_completed", "consolidations", ["completed"])
    op.create_table(
        "triggers",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("condition", sa.JSON, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created", Timestamp, nullable=False),
        sa.Column("since", Timestamp, nullable=False),
        sa.Column("last_fired", Timestamp),
    )
    op.create_table(
        "trigger_firings",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("trigger", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("cause", sa.String(256), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("dataset_versions", sa.JSON, nullable=False),
        sa.Column("fired", Timestamp, nullable=False),
        sa.UniqueConstraint("branch", "trigger", "cause", name="uq_trigger_firings_cause"),
    )


def _hide_from_other_roles(table: str) -> None:
    """User ids and right answers are for the service's own role alone.

    Its schema is closed to the other services already. Row security without a policy shows no row to anybody but the
    owner, so that not even a role which is granted every table of the schema, say for reports, sees who learns what.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"REVOKE ALL ON {table} FROM PUBLIC")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
