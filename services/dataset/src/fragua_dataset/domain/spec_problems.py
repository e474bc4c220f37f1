"""Reads the specification of an engine, and tells everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fragua_platform.errors import InvalidInput, Violation

Spec = TypeVar("Spec", bound=BaseModel)


def parse_spec(spec: type[Spec], fields: Mapping[str, Any], whose: str) -> Spec:
    """Raises InvalidInput with one violation per problem; `whose` begins its message, e.g. `the version's`."""
    try:
        return spec.model_validate(fields)
    except ValidationError as invalid:
        violations = [
            Violation(".".join(str(part) for part in error["loc"]), error["msg"]) for error in invalid.errors()
        ]
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidInput(f"{whose} specification is invalid: {listed}", violations=violations) from invalid
