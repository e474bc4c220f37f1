"""Options that several commands share."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

BranchOption = Annotated[
    str,
    typer.Option(
        "--branch",
        "-b",
        envvar="FRAGUA_BRANCH",
        help="The branch; may be left out where the name says it, or where there is only one.",
        show_default=False,
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Entries at most, newest first.")]
WatchOption = Annotated[bool, typer.Option("--watch/--no-watch", help="Follow it to its end.")]
ValidateOnlyOption = Annotated[
    bool, typer.Option("--validate-only", help="Check everything and create nothing.", show_default=False)
]
RequestIdOption = Annotated[
    str,
    typer.Option(
        "--request-id",
        help="The same id with the same content never creates a second one; a fresh id when left out.",
        show_default=False,
    ),
]


def request_id(given: str = "") -> str:
    return given or uuid.uuid4().hex
