"""Base models tell where they came from, and what a user has to know of them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("base_models") as table:
        table.add_column(sa.Column("source", sa.String(256), nullable=False, server_default="upload"))
        table.add_column(sa.Column("warnings", sa.JSON, nullable=False, server_default="[]"))
    # The defaults were for the rows that were there; who writes a new one says where it comes from.
    with op.batch_alter_table("base_models") as table:
        table.alter_column("source", server_default=None)
        table.alter_column("warnings", server_default=None)
