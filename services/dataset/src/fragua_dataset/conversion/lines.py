"""Formats with one JSON object on each line: chat, as OpenAI's and most trainers read it, and alpaca."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from fragua_platform.errors import InvalidData, Violation

_MOST_VIOLATIONS: Final = 20
_encode = msgspec.json.Encoder().encode


def write_chat(rows: Iterator[dict[str, Any]], target: Path) -> None:
    with target.open("wb", buffering=1 << 20) as file:
        for row in rows:
            file.write(_encode({"messages": row["messages"]}) + b"\n")


def write_alpaca(rows: Iterator[dict[str, Any]], target: Path) -> None:
    """Alpaca knows one question and one answer; rows that do not fit are told together, and nothing is left out."""
    refused: list[Violation] = []
    count = 0
    with target.open("wb", buffering=1 << 20) as file:
        for number, row in enumerate(rows, 1):
            system, turns = _divided(row["messages"])
            if len(turns) != 2:
                count += 1
                if len(refused) < _MOST_VIOLATIONS:
                    place = f"{target.stem} row {number} ({row['id']})"
                    refused.append(Violation(place, f"{len(turns)} messages, alpaca has a question and an answer"))
                continue
            question, answer = turns
            line = {"instruction": question["content"], "input": "", "output": answer["content"]}
            file.write(_encode(line | ({"system": system} if system else {})) + b"\n")
    if count:
        raise InvalidData(
            f"{count} conversations of several turns cannot be written as alpaca; ask for chat-jsonl, parquet or "
            f"hf-folder, which can hold them; first: {refused[0].field}",
            reason="SEVERAL_TURNS",
            violations=refused,
        )


def _divided(messages: list[dict[str, str]]) -> tuple[str, list[dict[str, str]]]:
    first = messages[0]
    return (first["content"], messages[1:]) if first["role"] == "system" else ("", messages)
