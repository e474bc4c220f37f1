"""Holds the document in an answer against a JSON Schema; a schema may take for ever, so this runs in a child process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import jsonschema_specifications

from fragua_evaluator.scoring.metrics.documents import Unreadable, read_json_document, read_yaml_document

Scored = tuple[float, dict[str, float]]


class InvalidSchema(ValueError):
    """It is no schema, or refers to another document."""


def open_schema(form: str, options: Mapping[str, Any]) -> Callable[[str], Scored]:
    """Raises InvalidSchema."""
    schema, read = options["schema"], read_json_document if form == "json" else read_yaml_document
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as broken:
        raise InvalidSchema(f"{broken.json_path}: {broken.message}"[:500]) from broken
    if outside := sorted(set(_references(schema)) - _addresses(schema)):
        raise InvalidSchema(f"it refers to {outside[0]!r}, which is outside of it; copy that to `$defs`")
    # A registry of its own: the default one would fetch what a reference names from the network.
    validator = kind(schema, registry=jsonschema_specifications.REGISTRY)

    def score(output: str) -> Scored:
        try:
            document = _with_text_keys(read(output, strict=options["strict"]))
        except Unreadable:
            return 0.0, {"readable": 0.0, "fits": 0.0}
        fits = float(validator.is_valid(document))
        return fits, {"readable": 1.0, "fits": fits}

    return score


def _references(part: Any) -> Iterator[str]:
    """Documents that are referred to, but for the schema itself."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(value, str):
                if document := value.partition("#")[0]:
                    yield document
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _addresses(part: Any) -> set[str]:
    found = {uri.rstrip("#") for uri in jsonschema_specifications.REGISTRY}
    waiting = [part]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found.add(str(part.get("$id", "")).rstrip("#"))
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


def _with_text_keys(document: Any) -> Any:
    """As JSON has them: YAML's keys may be numbers."""
    if isinstance(document, dict):
        return {str(key): _with_text_keys(value) for key, value in document.items()}
    return [_with_text_keys(value) for value in document] if isinstance(document, list) else document
