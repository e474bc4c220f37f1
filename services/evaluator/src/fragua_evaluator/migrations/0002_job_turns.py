"""Waiting jobs have priorities, and messages that stand for them."""

from fragua_platform.tables import add_turns_0002

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    add_turns_0002("evaluator")
