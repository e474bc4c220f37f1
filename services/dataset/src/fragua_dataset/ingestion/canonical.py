"""The one form that every row of a version has, written and read back."""

from __future__ import annotations

from typing import Any

import msgspec
import xxhash

from fragua_dataset.ingestion.reading import Message

Row = dict[str, Any]
"""`id`, `origin`, `messages`, `choices`, `answer`, `record`, `metadata`, in this order; what is empty is not there,
but for the messages and the metadata."""

hash_json = xxhash.xxh3_64_intdigest
_encode = msgspec.json.Encoder().encode

FACTS = ("choices", "answer", "record")
"""What a row may hold beside its messages that its messages were made from."""


def row_key(messages: list[Message]) -> int:
    """Equal for equal conversations, whatever else their rows say.

    Roles take turns, so after the question whether the first one is the system the contents tell all: a chain of
    hashes, each of a content as JSON text and seeded with the hash before.
    """
    key = int(messages[0]["role"] == "system")
    for message in messages:
        key = hash_json(_encode(message["content"]), key)
    return key


def id_of(messages: list[Message]) -> str:
    return f"{row_key(messages):016x}"


def canonical_row(messages: list[Message], facts: Row, metadata: dict[str, Any], origin: str = "") -> Row:
    """`origin` is the id of the row in the first version of its line; no need to say so of that row itself."""
    row: Row = {"id": id_of(messages)}
    if origin and origin != row["id"]:
        row["origin"] = origin
    row["messages"] = messages
    row |= {name: facts[name] for name in FACTS if name in facts}
    row["metadata"] = metadata
    return row


def text_of(row: Row) -> str:
    """What a row says, for comparing it with others: all but the system's instructions, which many rows share."""
    return "\n".join([message["content"] for message in row["messages"] if message["role"] != "system"])
