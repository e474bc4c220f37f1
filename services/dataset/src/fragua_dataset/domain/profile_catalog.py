"""Profiles as YAML: the packaged ones by name, and a user's own from its text."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from fragua_dataset.domain.profile import Profile
from fragua_platform.errors import InvalidInput, NotFound, Violation
from fragua_platform.yaml_text import extended, read_yaml_map

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
    fields = read_yaml_map(text, "profile", MAX_PROFILE_BYTES)
    violations = []
    base = fields.pop("extends", None)
    if fields.get("name") in packaged_names():
        description = f"{fields['name']!r} is a packaged profile; choose another name"
        violations.append(Violation("profile.name", description))
    if base in packaged_names():
        fields = extended(_packaged_fields(str(base)), fields)
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
    text = (files("fragua_dataset") / "profiles" / f"{name}.yaml").read_text("utf-8")
    return read_yaml_map(text, "profile", MAX_PROFILE_BYTES)


def _invalid(violations: list[Violation]) -> InvalidInput:
    listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
    return InvalidInput(f"the profile is invalid: {listed}", violations=violations)
