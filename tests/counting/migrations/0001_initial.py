"""First shape of the schema."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.tables import create_platform_tables_0001

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables_0001()
    op.create_table(
        "measurements",
        sa.Column("job", sa.String(256), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Float, nullable=False),
    )
