"""What was put into an Ollama server gets rows of its own, because it happens after the export has ended."""

import sqlalchemy as sa
from alembic import op

from fragua_platform.database import Timestamp

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "ollama_publications",
        sa.Column("export", sa.String(256), primary_key=True),
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("published", Timestamp, primary_key=True),
        sa.Column("quantization", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(128), nullable=False),
    )
