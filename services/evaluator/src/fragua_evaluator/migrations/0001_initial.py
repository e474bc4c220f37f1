"""First shape of the evaluator's schema."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp
from fragua_platform.tables import create_platform_tables_0001

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables_0001()
    op.create_table(
        "evaluations",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("branch", sa.String(64), nullable=False),
        sa.Column("adapter", sa.String(256), nullable=False),
        sa.Column("dataset_version", sa.String(256), nullable=False),
        sa.Column("metric", sa.String(64), nullable=False),
        sa.Column("item_count", sa.BigInteger, nullable=False),
        sa.Column("base_score", sa.Float, nullable=False),
        sa.Column("tuned_score", sa.Float, nullable=False),
        sa.Column("p_value", sa.Float, nullable=False),
        sa.Column("reported", Timestamp, nullable=False),
    )
    op.create_index("ix_evaluations_adapter", "evaluations", ["adapter"])
