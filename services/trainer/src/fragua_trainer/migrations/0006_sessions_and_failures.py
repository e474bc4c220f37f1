"""Sessions tell how they ended and what they ran on, and failed adapters whose move it is."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # Rows that are there stay without: what they ran on was not written down.
    with op.batch_alter_table("training_sessions") as table:
        table.add_column(sa.Column("ended", Timestamp))
        table.add_column(sa.Column("outcome", sa.String(16)))
        table.add_column(sa.Column("reason", sa.String(64)))
        table.add_column(sa.Column("hardware", sa.JSON))
        table.add_column(sa.Column("repository_commit", sa.String(64)))
    with op.batch_alter_table("model_registry") as table:
        table.add_column(sa.Column("failure_class", sa.String(16)))
