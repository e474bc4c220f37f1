"""Named sets of values for training jobs: the YAML files beside this module. A file opens with its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import takewhile
from typing import Any

from fragua_trainer.spec_yaml import read_spec_yaml


@dataclass(frozen=True)
class Preset:
    name: str
    description: str
    spec_yaml: str
    """The whole file, with the sources of its values in comments."""
    values: Mapping[str, Any]


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, in the order of their names."""
    texts = {
        file.name.removesuffix(".yaml"): file.read_text("utf-8")
        for file in files(__name__).iterdir()
        if file.name.endswith(".yaml")
    }
    return {
        name: Preset(name, _opening_comment(text), text, read_spec_yaml(text)) for name, text in sorted(texts.items())
    }


def _opening_comment(text: str) -> str:
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return " ".join(line.removeprefix("#").strip() for line in lines)
