"""The options that every command has, wherever on the line they stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import typer

EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", metavar="HOST[:PORT]", help="Where the suite answers.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", show_default=False)]


@dataclass(frozen=True)
class Preferences:
    endpoint: str = ""
    as_json: bool = False
    patience: float | None = None
    """Seconds to keep trying a service that is away; None for the defaults of `suite`."""


def preferences_of(context: typer.Context, endpoint: str | None, as_json: bool) -> Preferences:
    """Those before the noun, overruled by those after the verb."""
    given: Preferences = context.find_root().obj
    return replace(given, endpoint=endpoint or given.endpoint, as_json=as_json or given.as_json)
