"""First shape of the exporter's schema."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp
from fragua_platform.tables import create_platform_tables_0001

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables_0001()
    op.create_table(
        "exports",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("file", sa.String(256), primary_key=True),
        sa.Column("branch", sa.String(64), nullable=False),
        sa.Column("adapter", sa.String(256), nullable=False),
        sa.Column("quantization", sa.String(16), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("published", Timestamp, nullable=False),
    )
    op.create_index("ix_exports_adapter", "exports", ["adapter"])
