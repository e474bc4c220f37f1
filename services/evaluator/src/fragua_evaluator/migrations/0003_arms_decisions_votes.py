"""Evaluations of many arms, with decisions and votes. Those of two fixed arms are told in another form and are removed."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("DELETE FROM jobs WHERE kind = 'evaluation'")
    op.drop_index("ix_evaluations_adapter", "evaluations")
    op.drop_table("evaluations")
    op.create_table(
        "evaluations",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("branch", sa.String(64), nullable=False),
        sa.Column("adapter", sa.String(256), nullable=False),
        sa.Column("candidate", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16)),
        sa.Column("policy", sa.String(64)),
        sa.Column("verification_status", sa.String(16), nullable=False),
        sa.Column("reported", Timestamp, nullable=False),
    )
    op.create_index("ix_evaluations_adapter", "evaluations", ["adapter"])
    op.create_table(
        "evaluation_scores",
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
    op.create_table(
        "evaluation_decisions",
        sa.Column("evaluation", sa.String(256), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("overridden", sa.Boolean, nullable=False),
        sa.Column("decided_by", sa.String(120), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("verdict", sa.JSON, nullable=False),
        sa.Column("decided", Timestamp, nullable=False),
    )
    op.create_table(
        "evaluation_votes",
        sa.Column("evaluation", sa.String(256), primary_key=True),
        sa.Column("voter", sa.String(120), primary_key=True),
        sa.Column("suite", sa.String(64), primary_key=True),
        sa.Column("item", sa.String(256), primary_key=True),
        sa.Column("arms", sa.String(128), primary_key=True),
        sa.Column("left", sa.String(64), nullable=False),
        sa.Column("right", sa.String(64), nullable=False),
        sa.Column("preferred", sa.String(8), nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
