"""Attempts from a file of JSON Lines: read, checked line by line, and sent in batches."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from google.protobuf import json_format

from fragua.dataset.v1 import feedback_pb2
from fragua.dataset.v1 import feedback_service_pb2 as calls
from fragua_cli.output import Output
from fragua_cli.suite import Suite
from fragua_cli.transfers import Advance, transfer_bar
from fragua_platform.errors import InvalidData, InvalidInput, Violation
from fragua_platform.grpc.validation import check_message

_BATCH_ATTEMPTS: Final = 1000
_BATCH_BYTES: Final = 2**20
_PROBLEMS_TOLD: Final = 100
_PLACE = re.compile(r"batch\.attempts\[(?P<place>\d+)\]\.?(?P<field>.*)")


@dataclass
class _Batch:
    attempts: list[feedback_pb2.Attempt] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    size: int = 0
    """Bytes of the file."""

    @property
    def full(self) -> bool:
        return len(self.attempts) == _BATCH_ATTEMPTS or self.size >= _BATCH_BYTES


async def send_attempts(suite: Suite, output: Output, file: Path, branch: str) -> calls.IngestAttemptsResponse:
    """Nothing is sent before every line can be read. Sending a file again changes nothing."""
    size = file.stat().st_size
    with transfer_bar(output, f"checking {file.name}", size) as advance:
        await asyncio.to_thread(_require_readable, file, advance)
    total = calls.IngestAttemptsResponse()
    with transfer_bar(output, f"sending {file.name}", size) as advance:
        for batch in _batches(file):
            # A stream for each: what is refused can be told by its line, and what broke is sent again alone.
            answer = await suite.persist(partial(_send, suite, branch, batch))
            for count in answer.DESCRIPTOR.fields:
                setattr(total, count.name, getattr(total, count.name) + getattr(answer, count.name))
            advance(batch.size)
    return total


async def _send(suite: Suite, branch: str, batch: _Batch) -> calls.IngestAttemptsResponse:
    async def messages() -> AsyncIterator[calls.IngestAttemptsRequest]:
        yield calls.IngestAttemptsRequest(header=calls.IngestAttemptsHeader(parent=branch))
        yield calls.IngestAttemptsRequest(batch=calls.AttemptBatch(attempts=batch.attempts))

    try:
        return await suite.feedback.IngestAttempts(messages())
    except InvalidInput as refused:
        violations = [_by_line(violation, batch) for violation in refused.violations]
        raise InvalidInput(refused.message, violations=violations, reason=refused.reason) from refused


def _by_line(violation: Violation, batch: _Batch) -> Violation:
    match = _PLACE.fullmatch(violation.field)
    if match is None:
        return violation
    line = batch.lines[int(match["place"])]
    return Violation(", ".join(filter(None, (f"line {line}", match["field"]))), violation.description)


def _require_readable(file: Path, advance: Advance) -> None:
    problems: list[Violation] = []
    count = 0
    for number, line in _numbered_lines(file):
        advance(len(line))
        try:
            check_message(_attempt(line))
        except InvalidInput as broken:
            found = broken.violations or [Violation("", broken.message)]
            count += len(found)
            places = (
                Violation(", ".join(filter(None, (f"line {number}", each.field))), each.description) for each in found
            )
            problems += [place for place in places if len(problems) < _PROBLEMS_TOLD]
    if count:
        raise InvalidData(f"{file.name} has {count} problems; nothing was sent", violations=problems)


def _batches(file: Path) -> Iterator[_Batch]:
    batch = _Batch()
    for number, line in _numbered_lines(file):
        batch.attempts.append(_attempt(line))
        batch.lines.append(number)
        batch.size += len(line)
        if batch.full:
            yield batch
            batch = _Batch()
    if batch.attempts:
        yield batch


def _numbered_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as content:
        for number, line in enumerate(content, start=1):
            if line.strip():
                yield number, line


def _attempt(line: bytes) -> feedback_pb2.Attempt:
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict):
            raise InvalidData("is no attempt: expected a JSON object")
        return json_format.ParseDict(fields, feedback_pb2.Attempt())
    except json.JSONDecodeError as broken:
        raise InvalidData(f"is no JSON: {broken.msg} at character {broken.colno}") from broken
    except UnicodeDecodeError as broken:
        raise InvalidData("is not UTF-8") from broken
    except (json_format.ParseError, AttributeError, TypeError, RecursionError) as broken:
        raise InvalidData(f"is no attempt: {broken}") from broken
