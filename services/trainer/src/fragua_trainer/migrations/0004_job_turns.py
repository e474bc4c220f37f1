"""Waiting jobs have priorities, and messages that stand for them."""

from fragua_platform.tables import add_turns_0002

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    add_turns_0002("trainer")
