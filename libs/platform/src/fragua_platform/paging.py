"""Pages of a list: an opaque token says after which item the next page begins."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from fragua_platform.errors import InvalidInput, Violation

T = TypeVar("T")
U = TypeVar("U")

DEFAULT_PAGE_SIZE = 50
_LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True)
class Page(Generic[T]):
    items: Sequence[T]
    next_token: str = ""
    """Empty on the last page."""

    def map(self, convert: Callable[[T], U]) -> Page[U]:
        return Page([convert(item) for item in self.items], self.next_token)


@dataclass(frozen=True)
class PageRequest:
    size: int
    after: tuple[str, ...] = ()
    """Sort key of the last item already seen; empty for the first page."""

    def instant(self, index: int) -> datetime:
        """Part of the key that is a time."""
        try:
            return datetime.fromisoformat(self.after[index]).astimezone(UTC)
        except (ValueError, OverflowError) as broken:
            raise _malformed() from broken

    def number(self, index: int) -> int:
        """Part of the key that is a number."""
        try:
            number = int(self.after[index])
        except ValueError as broken:
            raise _malformed() from broken
        if abs(number) > _LARGEST_NUMBER:
            raise _malformed()
        return number

    def cut(self, rows: Sequence[T], key: Callable[[T], Sequence[str]]) -> Page[T]:
        """A page from up to `size + 1` rows: the extra one only tells that there is more."""
        if len(rows) <= self.size:
            return Page(rows)
        items = rows[: self.size]
        return Page(items, _encode(key(items[-1])))


def page_request(page_size: int, page_token: str, *, key_length: int) -> PageRequest:
    """Parse what a client sent; a token that this service did not make is refused."""
    size = page_size or DEFAULT_PAGE_SIZE
    if not page_token:
        return PageRequest(size)
    try:
        after = json.loads(base64.urlsafe_b64decode(page_token.encode("ascii")))
    except (ValueError, RecursionError):
        after = None
    if not (isinstance(after, list) and len(after) == key_length and all(map(_is_storable_text, after))):
        raise _malformed()
    return PageRequest(size, tuple(after))


def _is_storable_text(part: object) -> bool:
    """Half of a surrogate pair or a zero byte would break the query that it becomes a part of."""
    return isinstance(part, str) and "\0" not in part and not any("\ud800" <= letter <= "\udfff" for letter in part)


def _malformed() -> InvalidInput:
    problem = Violation("page_token", "is not a token of this list; leave it empty for the first page")
    return InvalidInput("malformed page_token", violations=[problem])


def _encode(key: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode("ascii")
