"""YAML from outside, read without trusting it, and YAML of ours, always written alike."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import yaml

from fragua_platform.errors import InvalidInput, Violation

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


def read_yaml_map(text: str, whose: str, max_bytes: int) -> dict[str, Any]:
    """Names with their values. Raises InvalidInput; `whose` is the field that it comes from, e.g. `profile`."""
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise _refused(whose, f"it has more than {max_bytes} bytes")
    try:
        fields = read_yaml(text)
    except InvalidYaml as broken:
        raise _refused(whose, f"it is no YAML: {broken}") from broken
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise _refused(whose, "it is no map of names to values, such as `name: mine`")
    return fields


def extended(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `own` says otherwise, also in maps within maps; what is no map, such as a list, is taken whole."""
    merged = dict(base)
    for name, value in own.items():
        former = merged.get(name)
        merged[name] = extended(former, value) if isinstance(former, dict) and isinstance(value, dict) else value
    return merged


def _refused(whose: str, problem: str) -> InvalidInput:
    return InvalidInput(f"the {whose} is invalid: {problem}", violations=[Violation(whose, problem)])


def write_yaml(value: Any) -> str:
    """In the order of the keys as they came, letters of every language as they are, no line folded.

    Every reader of YAML 1.1 reads the same value from it.
    """
    text: str = yaml.dump(value, Dumper=_Dumper, **_STYLE)
    if "\\U" in text:  # libyaml takes emoji for characters that cannot be printed
        text = yaml.dump(value, Dumper=_SlowDumper, **_STYLE)
    return text


_STYLE: dict[str, Any] = {"allow_unicode": True, "sort_keys": False, "width": 2**31 - 1}


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


class _Dumper(yaml.CSafeDumper):
    pass


class _SlowDumper(yaml.SafeDumper):
    """Writes emoji as they are, ten times slower."""


def _represent_text(dumper: Any, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


for _dumper in (_Dumper, _SlowDumper):
    _dumper.add_representer(str, _represent_text)


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
