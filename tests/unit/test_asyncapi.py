"""docs/asyncapi.yaml against the protos, the code that emits events, and the streams that the services declare."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from fragua_platform.events.cloudevents import new_event
from fragua_platform.events.nats_topology import STREAMS

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text("utf-8"))
CHANNELS: dict[str, Any] = DOCUMENT["channels"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

EVENT_PROTOS = sorted((ROOT / "proto/fragua").glob("*/v1/*_events.proto"))
EMITTERS = [*(ROOT / "libs/platform/src").rglob("*.py"), *(ROOT / "services").rglob("src/**/*.py")]


def message_types() -> dict[str, Descriptor]:
    """Every message of the event protos, by its plain name."""
    modules = [importlib.import_module(f"fragua.{path.parts[-3]}.v1.{path.stem}_pb2") for path in EVENT_PROTOS]
    return {
        name: descriptor for module in modules for name, descriptor in module.DESCRIPTOR.message_types_by_name.items()
    }


def reachable(descriptors: list[Descriptor]) -> dict[str, Descriptor]:
    """Those messages and all that their fields hold, except protobuf's own types, which have a JSON form of theirs."""
    found: dict[str, Descriptor] = {}
    queue = list(descriptors)
    while queue:
        descriptor = queue.pop()
        if descriptor.name in found or descriptor.full_name.startswith("google.protobuf."):
            continue
        if descriptor.GetOptions().map_entry:
            continue
        found[descriptor.name] = descriptor
        queue += [field.message_type for field in descriptor.fields if field.message_type]
    return found


def test_every_event_message_of_the_protos_is_documented_and_no_other() -> None:
    assert {message["name"] for message in MESSAGES.values()} == {each.full_name for each in message_types().values()}
    for key, message in MESSAGES.items():
        assert message["name"].rpartition(".")[2] == key
        assert message["payload"] == {"$ref": f"#/components/schemas/{key}"}


@pytest.mark.parametrize("name", sorted(reachable(list(message_types().values()))))
def test_each_schema_has_exactly_the_fields_of_its_message_with_their_json_types(name: str) -> None:
    descriptor = reachable(list(message_types().values()))[name]
    assert SCHEMAS[name] == {
        "type": "object",
        "properties": {field.json_name: json_type_of(field) for field in descriptor.fields},
    }


def test_each_schema_describes_something_that_an_event_holds() -> None:
    messages = reachable(list(message_types().values()))
    enums = {
        field.enum_type.name: field.enum_type for each in messages.values() for field in each.fields if field.enum_type
    }
    assert SCHEMAS.keys() == messages.keys() | enums.keys()
    for name, enum in enums.items():
        assert SCHEMAS[name] == {"type": "string", "enum": [value.name for value in enum.values]}


def examples() -> list[Any]:
    return [
        pytest.param(key, example["payload"], id=f"{key}-{example['name']}")
        for key, message in MESSAGES.items()
        for example in message["examples"]
    ]


@pytest.mark.parametrize(("key", "payload"), examples())
def test_each_example_is_what_protobuf_would_write(key: str, payload: dict[str, Any]) -> None:
    message: Message = json_format.ParseDict(payload, GetMessageClass(message_types()[key])())
    assert json_format.MessageToDict(message) == payload


def test_every_message_has_an_example() -> None:
    assert all(message["examples"] for message in MESSAGES.values())


def test_every_subject_that_the_code_emits_is_documented_and_no_other() -> None:
    documented = {channel["address"].removeprefix("fragua.v1.") for channel in CHANNELS.values()}
    assert documented == {subject for path in EMITTERS for subject in emitted_by(path)}


def test_each_subject_carries_the_message_that_its_proto_says() -> None:
    documented = {(channel["address"], name) for channel in CHANNELS.values() for name in channel["messages"]}
    assert documented == {pair for path in EVENT_PROTOS for pair in subjects_promised_by(path)}


def test_each_channel_is_sent_on_and_names_the_parameters_of_its_address() -> None:
    sent = {
        operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values() if operation["action"] == "send"
    }
    assert sent == {f"#/channels/{key}" for key in CHANNELS}
    for channel in CHANNELS.values():
        assert channel["parameters"].keys() == set(re.findall(r"{(\w+)}", channel["address"]))


def test_every_reference_leads_somewhere() -> None:
    for reference in references_in(DOCUMENT):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, f"{reference} leads nowhere"
            place = place[step]


def test_the_documented_headers_are_those_that_an_event_has() -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    message = GetMessageClass(message_types()["JobStateChanged"])()
    headers = new_event("tutor", "trainer", "job", "queued", message, traceparent=traceparent).headers()
    documented = DOCUMENT["components"]["messageTraits"]["cloudEvent"]["headers"]
    assert documented["properties"].keys() == headers.keys() | {"Nats-Msg-Id"}
    assert set(documented["required"]) == headers.keys() - {"traceparent"}


def test_the_documented_streams_are_those_that_are_declared() -> None:
    declared = {
        stream.name: {
            "subjects": stream.subjects,
            "retention": stream.retention and stream.retention.value,
            "discard": stream.discard and stream.discard.value,
            "maxAgeDays": (stream.max_age or 0) / 86_400,
            "maxBytes": stream.max_bytes,
        }
        for stream in STREAMS
    }
    assert DOCUMENT["x-streams"] == declared


def test_the_guide_to_the_events_tells_of_every_subject_and_message() -> None:
    guide = (ROOT / "docs/events.md").read_text("utf-8")
    for channel in CHANNELS.values():
        subject = channel["address"].replace("{", "<").replace("}", ">")
        assert f"`{subject}`" in guide, f"{subject} is missing from docs/events.md"
    for message in MESSAGES.values():
        assert f"`{message['name']}`" in guide, f"{message['name']} is missing from docs/events.md"


_SCALARS = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
}
_WELL_KNOWN = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$"},
}


def json_type_of(field: FieldDescriptor) -> dict[str, Any]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        values = field.message_type.fields_by_name["value"]
        return {"type": "object", "additionalProperties": json_type_of(values)}
    if field.message_type:
        one = _WELL_KNOWN.get(field.message_type.full_name) or _reference(field.message_type.name)
    elif field.enum_type:
        one = _reference(field.enum_type.name)
    else:
        one = _SCALARS[field.type]
    return {"type": "array", "items": one} if field.is_repeated else one


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def subjects_promised_by(proto: Path) -> Iterator[tuple[str, str]]:
    """(address, message) pairs from the comment above each message of an event proto."""
    comments = re.findall(r"((?://[^\n]*\n)+)message (\w+) {", proto.read_text("utf-8"))
    for comment, message in comments:
        text = " ".join(line.removeprefix("//").strip() for line in comment.splitlines())
        if subject := re.search(r"`(fragua\.v1\.[^`]+)`(?: and `\.([a-z-]+)`)?", text):
            address = subject[1].replace("<", "{").replace(">", "}")
            yield address, message
            if subject[2]:  # "`fragua.v1.….rejected` and `.archived`"
                yield f"{address.rpartition('.')[0]}.{subject[2]}", message
            continue
        names = re.search(r"Event names?: ([a-z, ]+)\.", text)
        assert names, f"{proto.name}: the comment of {message} names no subject and no event"
        for name in names[1].split(", "):
            yield f"fragua.v1.{{branch}}.{{service}}.job.{name}", message


def emitted_by(path: Path) -> Iterator[str]:
    """`{branch}.trainer.adapter.published` for each call of `new_event` in a module."""
    module = ast.parse(path.read_text("utf-8"))
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "new_event":
                service, resource, event = (values_of(argument, function, module) for argument in call.args[1:4])
                yield from (f"{{branch}}.{s}.{r}.{e}" for s in service for r in resource for e in event)


def values_of(argument: ast.expr, function: ast.FunctionDef, module: ast.Module) -> list[str]:
    """The strings that an argument may be: itself, what its name is set to, or the values of the table it looks in."""
    match argument:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Name(id=name) if name in [parameter.arg for parameter in function.args.args]:
            return [f"{{{name}}}"]
        case ast.Name(id=name):
            return [text for value in _assigned(name, function) for text in values_of(value, function, module)]
        case ast.Subscript(value=ast.Name(id=table)):
            (value,) = _assigned(table, module)
            assert isinstance(value, ast.Dict)
            return [text for each in value.values for text in values_of(each, function, module)]
    raise AssertionError(f"cannot tell what {ast.unparse(argument)} is in {function.name}")


def _assigned(name: str, scope: ast.AST) -> list[ast.expr]:
    return [
        node.value
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign) and any(isinstance(each, ast.Name) and each.id == name for each in node.targets)
    ]


def references_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        for value in node.values():
            yield from references_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from references_in(value)
