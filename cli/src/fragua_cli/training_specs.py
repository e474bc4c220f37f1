"""The training specification of a command line: a YAML file, and single values over it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from fragua_platform.errors import InvalidInput, Violation

PresetOption = Annotated[
    str, typer.Option("--preset", "-p", help="Named values to start from; see `train presets`.", show_default=False)
]
SpecOption = Annotated[
    Path | None,
    typer.Option(
        "--spec",
        "--config",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="YAML with the keys of the presets; wins over the preset.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One value of the specification, such as lora.rank=8; repeat it. Wins over preset and file.",
        show_default=False,
    ),
]


def spec_yaml(file: Path | None, assignments: list[str] | None) -> str:
    """The file's own text, or its values with the single ones over them. What they mean is for the service to judge."""
    text = file.read_text("utf-8") if file else ""
    if not assignments:
        return text
    values = _mapping(text, str(file)) if file else {}
    for assignment in assignments:
        _assign(values, assignment)
    written: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return written


def _mapping(text: str, place: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as broken:
        raise _refused("--spec", f"{place} is not YAML: {broken}") from broken
    if not isinstance(values, dict):
        raise _refused("--spec", f"{place} must hold keys with values, such as `schedule: {{epochs: 3}}`")
    return values


def _assign(values: dict[str, Any], assignment: str) -> None:
    path, equals, text = assignment.partition("=")
    *sections, key = path.split(".")
    if not equals or not all((*sections, key)):
        raise _refused("--set", f"{assignment!r} is not KEY=VALUE, such as lora.rank=8")
    for name in sections:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise _refused("--set", f"{assignment!r}: {name} holds a value, and no keys")
    try:
        values[key] = yaml.safe_load(text)
    except yaml.YAMLError as broken:
        raise _refused("--set", f"{assignment!r}: the value is not YAML: {broken}") from broken


def _refused(option: str, description: str) -> InvalidInput:
    return InvalidInput(description, violations=[Violation(option, description)])
