"""The trainer's tables, as queries are written against them."""

from __future__ import annotations

import sqlalchemy as sa

from fragua_platform.database import Timestamp
from fragua_platform.tables import define_platform_tables

metadata = sa.MetaData()
define_platform_tables(metadata)

base_models = sa.Table(
    "base_models",
    metadata,
    sa.Column("name", sa.String(160), primary_key=True),
    sa.Column("architecture", sa.String(64), nullable=False),
    sa.Column("bundle", sa.JSON, nullable=False),
    sa.Column("created", Timestamp, nullable=False),
    sa.Column("source", sa.String(256), nullable=False),
    sa.Column("warnings", sa.JSON, nullable=False),
)

adapter_counters = sa.Table(
    "adapter_counters",
    metadata,
    sa.Column("branch", sa.String(64), primary_key=True),
    sa.Column("last", sa.Integer, nullable=False),
)

model_registry = sa.Table(
    "model_registry",
    metadata,
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
    sa.Column("failure_class", sa.String(16)),
)

adapter_scores = sa.Table(
    "adapter_scores",
    metadata,
    sa.Column("evaluation", sa.String(256), primary_key=True),
    sa.Column("branch", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("metric", sa.String(256), nullable=False),
    sa.Column("base_score", sa.Float, nullable=False),
    sa.Column("tuned_score", sa.Float, nullable=False),
    sa.Column("item_count", sa.BigInteger, nullable=False),
    sa.Column("reported", Timestamp, nullable=False),
    sa.Column("suite", sa.String(64), nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("verification_status", sa.String(16), nullable=False),
    sa.Index("ix_adapter_scores_adapter", "branch", "number"),
)

training_sessions = sa.Table(
    "training_sessions",
    metadata,
    sa.Column("training_job", sa.String(256), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("worker", sa.String(128), nullable=False),
    sa.Column("started", Timestamp, nullable=False),
    sa.Column("ended", Timestamp),
    sa.Column("outcome", sa.String(16)),
    sa.Column("reason", sa.String(64)),
    sa.Column("hardware", sa.JSON(none_as_null=True)),
    sa.Column("repository_commit", sa.String(64)),
)

model_training_metrics = sa.Table(
    "model_training_metrics",
    metadata,
    sa.Column("training_job", sa.String(256), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("recorded", Timestamp, nullable=False),
)

training_log_lines = sa.Table(
    "training_log_lines",
    metadata,
    sa.Column("training_job", sa.String(256), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("line", sa.Text, nullable=False),
)
