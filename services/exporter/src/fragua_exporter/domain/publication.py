"""A model in an Ollama server, and the rules by which it gets its name there."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import AlreadyExists, InvalidInput, Violation


@dataclass(frozen=True)
class Publication:
    export: str
    model: str
    """With its tag, e.g. `tutor:v2`."""
    quantization: Quantization
    digest: str
    """By which the server knows the model; empty before it is there."""
    published: datetime


def choose_name(model: str, tag: str, taken: Collection[str], *, replace: bool) -> str:
    """`model` with `tag`, or with the version after the highest one among the `taken` names."""
    taken = {name.lower() for name in taken}  # Ollama takes names that differ in case alone for the same.
    if not tag:
        if replace:
            problem = Violation("tag", "name the tag to replace; without one the model gets the next free version")
            raise InvalidInput("nothing to replace", violations=[problem])
        versions = [re.fullmatch(re.escape(model.lower()) + r":v(\d+)", name) for name in taken]
        return f"{model}:v{max((int(version[1]) for version in versions if version), default=0) + 1}"
    name = f"{model}:{tag}"
    if name.lower() in taken and not replace:
        raise AlreadyExists(
            f"Ollama has {name} already; leave the tag out to get the next free version, or ask to replace it"
        )
    return name
