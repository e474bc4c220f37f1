"""Gate policies as YAML: the packaged ones by name, and a user's own from its text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from fragua_evaluator.domain.gate_policy import GatePolicy, parse_gate_policy, read_policy_fields


@cache
def packaged_policies() -> Mapping[str, GatePolicy]:
    """By name, in alphabetical order."""
    return MappingProxyType({name: parse_gate_policy(fields) for name, fields in _packaged_fields().items()})


def parse_own_policy(text: str) -> GatePolicy:
    """A user's own policy, which may say `extends: adopt` and then only what differs; a list is taken whole.

    Raises InvalidInput with one violation per problem.
    """
    return parse_gate_policy(read_policy_fields(text), packaged=_packaged_fields())


@cache
def _packaged_fields() -> Mapping[str, Mapping[str, Any]]:
    folder = files("fragua_evaluator") / "policies"
    found = sorted(file.name for file in folder.iterdir() if file.name.endswith(".yaml"))
    return {name.removesuffix(".yaml"): read_policy_fields((folder / name).read_text("utf-8")) for name in found}
