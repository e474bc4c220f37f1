"""YAML from outside, read without trusting it, and YAML of ours, always written alike."""

from __future__ import annotations

from typing import Any

import yaml

_MAX_DEPTH = 32


class InvalidYaml(ValueError):
    """The text is no YAML that we take; the message says where and why."""


def read_yaml(text: str) -> Any:
    """The value of one document: maps, lists, texts, numbers, dates.

    The fast loader follows deep nesting until its stack bursts, and aliases until memory does. So the events, which
    come one by one however deep they are, are looked at before anything is built from them.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise InvalidYaml(f"{_place(event.start_mark)}aliases such as *{event.anchor} are not taken")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                raise InvalidYaml(f"{_place(event.start_mark)}it nests deeper than {_MAX_DEPTH} levels")
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as broken:
        raise InvalidYaml(f"{_place(broken.problem_mark)}{broken.problem or broken.context}") from broken
    except (yaml.YAMLError, ValueError, OverflowError) as broken:
        # ValueError: a date such as 2026-02-30; characters that YAML does not know are a YAMLError without a place.
        raise InvalidYaml(str(broken).splitlines()[0]) from broken


def write_yaml(value: Any) -> str:
    """In the order of the keys as they came, letters of every language as they are, no line folded."""
    return yaml.dump(value, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False, width=2**31 - 1)


def _place(mark: Any) -> str:
    """Of a mark of either loader, the fast or the slow one."""
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
