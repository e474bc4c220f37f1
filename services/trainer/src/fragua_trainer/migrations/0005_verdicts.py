"""Scores of adapters tell their suite, the verdict, and what somebody decided."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("adapter_scores") as table:
        table.alter_column("metric", type_=sa.String(256), existing_type=sa.String(64), existing_nullable=False)
        table.add_column(sa.Column("suite", sa.String(64), nullable=False, server_default=""))
        table.add_column(sa.Column("verdict", sa.String(16), nullable=False, server_default=""))
        table.add_column(sa.Column("reasons", sa.JSON, nullable=False, server_default="[]"))
        table.add_column(sa.Column("verification_status", sa.String(16), nullable=False, server_default=""))
    # The defaults were for the rows that were there.
    with op.batch_alter_table("adapter_scores") as table:
        for name in ("suite", "verdict", "reasons", "verification_status"):
            table.alter_column(name, server_default=None)
