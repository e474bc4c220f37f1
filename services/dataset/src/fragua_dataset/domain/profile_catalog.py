"""Profiles as YAML: the packaged ones by name, and a user's own from its text."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from fragua_dataset.domain.profile import Profile
from fragua_dataset.domain.yaml_text import InvalidYaml, read_yaml
from fragua_platform.errors import InvalidInput, NotFound, Violation

MAX_PROFILE_BYTES = 64 * 1024


@cache
def packaged_names() -> tuple[str, ...]:
    folder = files("fragua_dataset") / "profiles"
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


@cache
def packaged_profile(name: str) -> Profile:
    """Raises NotFound."""
    return Profile.model_validate(_packaged_fields(name))


def parse_profile(text: str) -> Profile:
    """A user's own profile, which may say `extends: instruct` and then only what differs.

    Raises InvalidInput with one violation per problem.
    """
    fields = _fields(text)
    violations = []
    base = fields.pop("extends", None)
    if fields.get("name") in packaged_names():
        description = f"{fields['name']!r} is a packaged profile; choose another name"
        violations.append(Violation("profile.name", description))
    if base in packaged_names():
        fields = _merged(_packaged_fields(str(base)), fields)
    elif base is not None:
        violations.append(Violation("profile.extends", f"{base!r} is not one of {', '.join(packaged_names())}"))
    try:
        profile = Profile.model_validate(fields)
    except ValidationError as invalid:
        violations += [
            Violation(
                ".".join(str(part) for part in ("profile", *error["loc"])), error["msg"].removeprefix("Value error, ")
            )
            for error in invalid.errors()
        ]
    if violations:
        raise _invalid(violations)
    return profile


def _packaged_fields(name: str) -> dict[str, Any]:
    if name not in packaged_names():
        raise NotFound(f"there is no profile {name!r}; the packaged ones are {', '.join(packaged_names())}")
    return _fields((files("fragua_dataset") / "profiles" / f"{name}.yaml").read_text("utf-8"))


def _fields(text: str) -> dict[str, Any]:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PROFILE_BYTES:
        raise _invalid([Violation("profile", f"it has more than {MAX_PROFILE_BYTES} bytes")])
    try:
        fields = read_yaml(text)
    except InvalidYaml as broken:
        raise _invalid([Violation("profile", f"it is no YAML: {broken}")]) from broken
    if not isinstance(fields, dict):
        raise _invalid([Violation("profile", "it is no map of names to values, such as `name: mine`")])
    return fields


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Maps within maps too; what is no map, such as a list, is taken whole from the user."""
    merged = dict(base)
    for name, value in own.items():
        former = merged.get(name)
        merged[name] = _merged(former, value) if isinstance(former, dict) and isinstance(value, dict) else value
    return merged


def _invalid(violations: list[Violation]) -> InvalidInput:
    listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
    return InvalidInput(f"the profile is invalid: {listed}", violations=violations)
