"""The evaluator's tables, as queries are written against them."""

from __future__ import annotations

import sqlalchemy as sa

from fragua_platform.database import Timestamp
from fragua_platform.tables import define_platform_tables

metadata = sa.MetaData()
define_platform_tables(metadata)

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Column("branch", sa.String(64), nullable=False),
    sa.Column("adapter", sa.String(256), nullable=False),  # empty: the verdict is about no adapter
    sa.Column("candidate", sa.String(64), nullable=False),
    sa.Column("verdict", sa.String(16)),
    sa.Column("policy", sa.String(64)),
    sa.Column("verification_status", sa.String(16), nullable=False),
    sa.Column("reported", Timestamp, nullable=False),
    sa.Index("ix_evaluations_adapter", "adapter"),
)

evaluation_scores = sa.Table(
    "evaluation_scores",
    metadata,
    sa.Column("evaluation", sa.String(256), primary_key=True),
    sa.Column("arm", sa.String(64), primary_key=True),
    sa.Column("suite", sa.String(64), primary_key=True),
    sa.Column("metric", sa.String(256), primary_key=True),
    sa.Column("model", sa.String(512), nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("score_low", sa.Float, nullable=False),
    sa.Column("score_high", sa.Float, nullable=False),
    sa.Column("item_count", sa.BigInteger, nullable=False),
    sa.Column("failed_item_count", sa.BigInteger, nullable=False),
)

evaluation_decisions = sa.Table(
    "evaluation_decisions",
    metadata,
    sa.Column("evaluation", sa.String(256), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("overridden", sa.Boolean, nullable=False),
    sa.Column("decided_by", sa.String(120), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("verdict", sa.JSON, nullable=False),
    sa.Column("decided", Timestamp, nullable=False),
)

evaluation_votes = sa.Table(
    "evaluation_votes",
    metadata,
    sa.Column("evaluation", sa.String(256), primary_key=True),
    sa.Column("voter", sa.String(120), primary_key=True),
    sa.Column("suite", sa.String(64), primary_key=True),
    sa.Column("item", sa.String(256), primary_key=True),
    sa.Column("arms", sa.String(128), primary_key=True),  # both, in alphabetical order
    sa.Column("left", sa.String(64), nullable=False),
    sa.Column("right", sa.String(64), nullable=False),
    sa.Column("preferred", sa.String(8), nullable=False),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
