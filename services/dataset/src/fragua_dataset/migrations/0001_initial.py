"""First shape of the dataset service's schema."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp
from fragua_platform.tables import create_platform_tables_0001

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables_0001()
    op.create_table(
        "branches",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("display_name", sa.String(120), nullable=False),
        sa.Column("created", Timestamp, nullable=False),
    )
