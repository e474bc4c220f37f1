"""What a key may be: one set of rules, so that a key which one store takes works in every other one."""

from __future__ import annotations

from fragua_platform.errors import InvalidInput, Violation

MAX_KEY_BYTES = 900
"""S3 allows 1024; the rest is for the prefix of a shared bucket."""
MAX_SEGMENT_BYTES = 255
"""What file systems allow for one name."""


def check_key(key: str) -> None:
    """Raise `InvalidInput`, with every problem listed, unless `key` is a relative POSIX path of plain segments."""
    if problems := _problems(key):
        raise InvalidInput(
            f"artifact key {key!r}: {'; '.join(problems)}",
            violations=[Violation("key", problem) for problem in problems],
        )


def check_prefix(prefix: str) -> str:
    """The folder `prefix` without its closing slash; the empty one is the whole store."""
    folder = prefix.removesuffix("/")
    if folder or prefix:
        check_key(folder)
    return folder


def _problems(key: str) -> list[str]:
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return ["is not valid Unicode; take out the lone surrogates"]
    if not key:
        return ["is empty"]
    problems = []
    segments = key.split("/")
    if key.startswith("/"):
        problems.append("is absolute; keys are relative to the store")
    elif not all(segment.strip() for segment in segments):
        problems.append("has an empty segment; write single slashes and none at the end")
    if "." in segments or ".." in segments:
        problems.append("has a segment . or ..; name the folder itself")
    elif segments[0].startswith("."):
        problems.append("starts with a dot; such folders belong to the store itself")
    if "\\" in key:
        problems.append("has a backslash; segments are separated by /")
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in key):
        problems.append("has control characters")
    if len(encoded) > MAX_KEY_BYTES:
        problems.append(f"has {len(encoded)} bytes; the limit is {MAX_KEY_BYTES}")
    if any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        problems.append(f"has a segment of more than {MAX_SEGMENT_BYTES} bytes")
    return problems
