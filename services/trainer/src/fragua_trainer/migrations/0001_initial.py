"""First shape of the trainer's schema."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp
from fragua_platform.tables import create_platform_tables_0001

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables_0001()
    op.create_table(
        "base_models",
        sa.Column("name", sa.String(160), primary_key=True),
        sa.Column("architecture", sa.String(64), nullable=False),
        sa.Column("bundle", sa.JSON, nullable=False),
        sa.Column("created", Timestamp, nullable=False),
    )
    op.create_table(
        "adapter_counters",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
    )
    op.create_table(
        "model_registry",
        sa.Column("branch", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("training_job", sa.String(256), nullable=False, unique=True),
        sa.Column("dataset_version", sa.String(256), nullable=False),
        sa.Column("base_model", sa.String(160), nullable=False),
        sa.Column("bundle", sa.JSON),
        sa.Column("trainable_parameters", sa.BigInteger, nullable=False),
        sa.Column("final_loss", sa.Float),
        sa.Column("validation_loss", sa.Float),
        sa.Column("created", Timestamp, nullable=False),
        sa.Column("ready", Timestamp),
    )
    op.create_table(
        "adapter_scores",
        sa.Column("evaluation", sa.String(256), primary_key=True),
        sa.Column("branch", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("metric", sa.String(64), nullable=False),
        sa.Column("base_score", sa.Float, nullable=False),
        sa.Column("tuned_score", sa.Float, nullable=False),
        sa.Column("item_count", sa.BigInteger, nullable=False),
        sa.Column("reported", Timestamp, nullable=False),
    )
    op.create_index("ix_adapter_scores_adapter", "adapter_scores", ["branch", "number"])
    op.create_table(
        "training_sessions",
        sa.Column("training_job", sa.String(256), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("worker", sa.String(128), nullable=False),
        sa.Column("started", Timestamp, nullable=False),
    )
    op.create_table(
        "model_training_metrics",
        sa.Column("training_job", sa.String(256), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("recorded", Timestamp, nullable=False),
    )
