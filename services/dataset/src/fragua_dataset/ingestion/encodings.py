"""Knows text that is not UTF-8."""

from __future__ import annotations

import re
from typing import NamedTuple

from fragua_platform.errors import InvalidData

_NON_ASCII = re.compile(rb"[\x80-\xff]")
_COMMON = frozenset("áéíóúüñçàèìòùâêîôûäöÁÉÍÓÚÜÑÇ¿¡")
_ENOUGH_TO_JUDGE = 2
"""Fewer broken characters may be an accident, which is told at its row."""


class _Encoding(NamedTuple):
    name: str
    codec: str
    iconv: str


_WINDOWS_1252 = _Encoding("Windows-1252 or Latin-1", "cp1252", "WINDOWS-1252")
_MAC_ROMAN = _Encoding("Mac Roman", "mac_roman", "MACINTOSH")


def refuse_other_encodings(sample: bytes) -> None:
    """Looks at the beginning of a text; `sample` may end within a character."""
    if name := _wide_encoding(sample):
        raise _other_encoding(name, name)
    found = (sample[match.start() : match.start() + 4] for match in _NON_ASCII.finditer(sample[:-3]))
    first = next(found, None)
    if first is None or _is_utf8_character(first):
        return
    others = list(found)
    if len(others) + 1 < _ENOUGH_TO_JUDGE or any(_is_utf8_character(start) for start in others):
        return
    if likely := _likely_encoding(sample):
        raise _other_encoding(likely.name, likely.iconv, f"So read it says {_excerpt(sample, likely)}.")
    raise _other_encoding("an encoding that is not UTF-8, or no text at all", "ENCODING")


def guess_at(row: bytes) -> str:
    """What a row may be that is not UTF-8."""
    if likely := _likely_encoding(row):
        return f"as {likely.name} it reads {_excerpt(row, likely)}"
    return "it may be UTF-16 or no text at all"


def _excerpt(text: bytes, encoding: _Encoding) -> str:
    """A few words around the first character that is not ASCII."""
    place = next(match.start() for match in _NON_ASCII.finditer(text))
    words = text[max(0, place - 12) : place + 12].decode(encoding.codec, "replace")
    return repr(" ".join(words.split()))


def _wide_encoding(sample: bytes) -> str:
    if sample.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    # Without a byte order mark: the first character of JSON or CSV is ASCII, so its other byte is NUL.
    if len(sample) >= 4 and sample[0] == 0 != sample[1]:
        return "UTF-16BE"
    if len(sample) >= 4 and sample[0] != 0 and sample[1] == 0:
        return "UTF-32LE" if sample[2] == 0 else "UTF-16LE"
    return ""


def _is_utf8_character(start: bytes) -> bool:
    for length in (2, 3, 4):
        try:
            start[:length].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return True
    return False


def _likely_encoding(text: bytes) -> _Encoding | None:
    """Mac Roman where more of its characters are such as people write; Windows-1252 wherever it can be."""
    others = b"".join(_NON_ASCII.findall(text))
    common_as_mac = _count_common(others, _MAC_ROMAN)
    if common_as_mac > max(_count_common(others, _WINDOWS_1252), len(others) // 2):
        return _MAC_ROMAN
    try:
        text.decode(_WINDOWS_1252.codec)
    except UnicodeDecodeError:
        return None
    return _WINDOWS_1252


def _count_common(text: bytes, encoding: _Encoding) -> int:
    return sum(character in _COMMON for character in text.decode(encoding.codec, "replace"))


def _other_encoding(description: str, name: str, quotation: str = "") -> InvalidData:
    message = (
        f"the file is in {description}; expected UTF-8: save it so, for example with `iconv -f {name} -t UTF-8 FILE`"
    )
    # On a line of its own: what events tell of a failure is its first line, and they quote no row.
    return InvalidData(f"{message}\n{quotation}".rstrip(), reason="UNSUPPORTED_ENCODING")
