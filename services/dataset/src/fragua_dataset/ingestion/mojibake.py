"""Finds text that was UTF-8 and was read as Windows-1252, Latin-1 or Mac Roman, and reads it as UTF-8 again.

Only what the languages of Western Europe look like then is touched: their letters, their punctuation, and emoji.
Anything wider would take `«SÍ»`, whose `Í»` is a Greek letter in UTF-8, for broken text.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Misreading(NamedTuple):
    found: str
    meant: str
    encoding: str
    """What the text was read as."""


def may_be_misread(text: str) -> bool:
    """Cheap, and true for all texts in which `misread` finds something: what misread characters begin with is there."""
    return not text.isascii() and (
        # Spelled out, because this is asked of every row and a loop takes four times as long.
        ("Ã" in text or "Â" in text or "â" in text or "ï" in text or "ð" in text)
        or ("√" in text or "¬" in text or "‚" in text or "Ô" in text or "\uf8ff" in text)
    )


def misread(text: str) -> Misreading | None:
    """The first characters of the text that were read wrongly, and what they were."""
    if may_be_misread(text):
        for reader in _READERS:
            if place := reader.first_misread(text):
                return Misreading(place.group(), reader.meant(place), reader.name_for(place.group()))
    return None


def repaired(text: str) -> str:
    """The text as it was meant, however often it was read wrongly; itself when nothing is wrong."""
    while may_be_misread(text):
        repair = text
        for reader in _READERS:
            if reader.first_misread(repair):
                repair = reader.sequences.sub(reader.meant, repair)
        if repair == text:
            break
        text = repair
    return text


class _Reader:
    """One family of encodings, and how UTF-8 looks when it is read so."""

    def __init__(self, name: str, codec: str, proof: str = "") -> None:
        self._name = name
        self._bytes = {_character(byte, codec): byte for byte in range(0x80, 0x100)}
        if codec == "cp1252":
            # Latin-1 has control characters where Windows-1252 has signs; nothing else differs.
            self._bytes |= {chr(byte): byte for byte in range(0x80, 0xA0)}
        self.sequences = re.compile(
            "|".join(
                "".join(self._one_of(byte_range) for byte_range in sequence)
                for sequence in (
                    [range(0xC2, 0xC4), _LATER],
                    [range(0xE2, 0xE3), range(0x80, 0xA0), _LATER],
                    [range(0xEF, 0xF0), range(0xB8, 0xBC), _LATER],
                    [range(0xF0, 0xF1), range(0x9F, 0xA0), _LATER, _LATER],
                )
            )
        )
        """Letters and signs of Latin-1; typographic signs, arrows, symbols; byte order mark and variants; emoji."""
        self._proof = re.compile(proof) if proof else self.sequences

    def first_misread(self, text: str) -> re.Match[str] | None:
        return self.sequences.search(text) if self._proof.search(text) else None

    def meant(self, place: re.Match[str]) -> str:
        """The pattern admits whole characters of UTF-8 only, so this reads, and reading it wrongly again gives `place`."""
        return bytes(self._bytes[character] for character in place.group()).decode("utf-8")

    def name_for(self, found: str) -> str:
        return "Latin-1" if any("\x80" <= character < "\xa0" for character in found) else self._name

    def _one_of(self, byte_range: range) -> str:
        return f"[{''.join(re.escape(character) for character, byte in self._bytes.items() if byte in byte_range)}]"


def _character(byte: int, codec: str) -> str:
    """Windows-1252 has no character for five bytes; who reads them leaves them as they are."""
    return bytes([byte]).decode(codec, "ignore") or chr(byte)


_LATER = range(0x80, 0xC0)
# √π, √∫ and ¬∞ are what mathematicians write; such a pair proves something within a word only.
_HIGH = "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü"
_SIGNS = "†°¢£§•¶ß®©™´¨ÆØ¥ªºæø"
_OF_MATHEMATICS = "≠∞±≤≥µ∂∑∏π∫Ω"
_READERS = (
    _Reader("Windows-1252", "cp1252"),
    _Reader(
        "Mac Roman",
        "mac_roman",
        proof=rf"[√¬][{_HIGH}{_SIGNS}]|‚[{_HIGH}][{_HIGH}{_SIGNS}{_OF_MATHEMATICS}]|\uf8ffü|Ôªø"
        rf"|[A-Za-z][√¬][{_OF_MATHEMATICS}][a-z]|√[±≥≠][a-z]",
    ),
)
