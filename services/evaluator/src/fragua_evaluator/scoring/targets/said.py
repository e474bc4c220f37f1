"""The text of an answer as it comes in, bounded, and made fit for JSON and databases."""

from __future__ import annotations

from fragua_evaluator.scoring.targets.web import Unanswered

_REPLACEMENT = "\ufffd"


class Said:
    def __init__(self, max_output_bytes: int) -> None:
        self._most = max_output_bytes
        self._parts: list[str] = []
        self._bytes = 0

    def add(self, part: str) -> None:
        self._parts.append(part)
        self._bytes += len(part.encode("utf-8", "surrogatepass"))
        if self._bytes > self._most:
            raise Unanswered("OUTPUT_TOO_LARGE", f"answers with more than max_output_bytes = {self._most}")

    @property
    def text(self) -> str:
        return storable("".join(self._parts))


def storable(text: str) -> str:
    """The two halves of a sign that came apart are put together; a lone half, or a NUL, which no database takes,
    becomes the sign for what cannot be shown."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", _REPLACEMENT)
