"""Training specifications as YAML text."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from fragua_platform.errors import InvalidInput
from fragua_trainer.domain.training_spec import TrainingSpec


class _Loader(yaml.SafeLoader):
    """Plain data only. A key that stands twice is an error, where YAML's own way is to take the last one silently."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # Aliases of aliases make terabytes out of a few lines.
        if self.check_event(yaml.AliasEvent):
            raise InvalidInput(
                f"line {self.peek_event().start_mark.line + 1}: write the value out in place of an alias"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                mark = node.value[place][0].start_mark
                raise InvalidInput(f"line {mark.line + 1}: {key!r} stands twice")
        return super().construct_mapping(node, deep)


def read_spec_yaml(text: str) -> dict[str, Any]:
    """The values of a specification; `InvalidInput` where the text is no YAML or no mapping. Keys are not judged here."""
    try:
        values = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as broken:
        raise InvalidInput(f"is not YAML: {broken}") from broken
    except RecursionError as nested:
        raise InvalidInput("is nested too deeply") from nested
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InvalidInput("must be keys with values, such as `schedule: {epochs: 3}`")
    return values


def write_spec_yaml(spec: TrainingSpec) -> str:
    """The complete specification; where it came from is told elsewhere."""
    values = spec.model_dump(mode="json", exclude={"provenance"})
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text
