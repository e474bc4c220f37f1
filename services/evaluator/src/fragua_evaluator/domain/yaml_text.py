"""YAML from outside, read without trusting it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any

import yaml

_MAX_DEPTH = 32


class InvalidYaml(ValueError):
    """The text is no YAML that we take; the message says where and why."""


def read_yaml(text: str) -> Any:
    """The value of one document: maps, lists, texts, numbers, true and false.

    Only words that YAML 1.1 and 1.2 agree on have a meaning; `no`, `off`, `010` and dates are texts. The fast loader
    follows deep nesting until its stack bursts, and aliases until memory does. So the events, which come one by one
    however deep they are, are looked at before anything is built from them.
    """
    try:
        _refuse_bombs(yaml.parse(text, Loader=yaml.CSafeLoader))
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as broken:
        raise InvalidYaml(f"{_place(broken.problem_mark)}{broken.problem or broken.context}") from broken
    except (yaml.YAMLError, ValueError, OverflowError) as broken:
        # Characters that YAML does not know are a YAMLError without a place; ValueError: a number of 5,000 digits.
        raise InvalidYaml(str(broken).splitlines()[0]) from broken


def write_yaml(value: Any) -> str:
    """For people, in the order that it has."""
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=100)


class _Loader(yaml.CSafeLoader):
    """With the words that YAML 1.1 and 1.2 agree on, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is a list or a map", key_node.start_mark)
            if key in mapping:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice", key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+][0-9]+)?", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _refuse_bombs(events: Iterable[yaml.Event]) -> None:
    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise InvalidYaml(f"{_place(event.start_mark)}aliases such as *{event.anchor} are not taken")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            raise InvalidYaml(f"{_place(event.start_mark)}tags such as {event.tag} are not taken")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise InvalidYaml(f"{_place(event.start_mark)}it nests deeper than {_MAX_DEPTH} levels")


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
