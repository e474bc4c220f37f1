"""Signatures get rows of their own, because people sign after the export has ended."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "export_signatures",
        sa.Column("export", sa.String(256), primary_key=True),
        sa.Column("public_key", sa.String(64), primary_key=True),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.Column("signer", sa.String(120), nullable=False),
        sa.Column("signed", Timestamp, nullable=False),
    )
