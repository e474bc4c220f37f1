"""Finds secrets and personal data in text, without ever repeating them.

A finding is worth little when most are wrong. So what can be verified is (check letters, check sums), what a machine
made up has to look so, and digits that could be anything need a word before them that says what they are.

Texts without any of it are most texts, so all of this is arranged for them: a kind is looked for only where a character
that it cannot do without is, and by a pattern that begins with a plain character, for which the search is fastest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.ingestion.checks.numbers import is_card_number, is_dni, is_iban, is_international_phone_number
from fragua_dataset.ingestion.checks.randomness import looks_like_a_password, looks_random


class Private(NamedTuple):
    code: ProblemCode
    kind: str
    """What it is, in the words of a message, such as `an e-mail address`."""
    at: int
    """The character of the text by which it was known, counted from 0."""


def find_private(text: str) -> list[Private]:
    """Each kind once, where it comes first; in about a microsecond for a page without any of it."""
    digits = len(text.encode("latin-1", "replace").translate(None, _NO_DIGITS))
    if digits == 0 and "@" not in text:
        return []
    kinds = [kind for marked in _MARKED if marked.mark in text and marked.hint.search(text) for kind in marked.kinds]
    if digits >= _FEWEST_DIGITS and _LONG_NUMBER.search(text):
        kinds += _NUMBERS
    return _firsts(kinds, text) if kinds else []


def _firsts(kinds: list[_Kind], text: str) -> list[Private]:
    firsts: dict[str, Private] = {}
    for found in sorted((found for kind in kinds if (found := kind.first_in(text))), key=lambda found: found.at):
        firsts.setdefault(found.kind, found)
    return list(firsts.values())


@dataclass(frozen=True, slots=True)
class _Kind:
    code: ProblemCode
    name: str
    pattern: re.Pattern[str]
    is_one: Callable[[re.Match[str]], bool]

    def first_in(self, text: str) -> Private | None:
        first = next(filter(self.is_one, self.pattern.finditer(text)), None)
        return first and Private(self.code, self.name, first.start())


@dataclass(frozen=True, slots=True)
class _Marked:
    """Kinds that have a character in common."""

    mark: str
    hint: re.Pattern[str]
    """Found where one of them may be, and in few other places."""
    kinds: tuple[_Kind, ...]


def _token(name: str, pattern: str) -> _Kind:
    return _Kind(ProblemCode.SECRET, name, re.compile(pattern), lambda match: looks_random(match.group()))


def _number(name: str, pattern: str, is_one: Callable[[str], bool]) -> _Kind:
    compiled = re.compile(pattern)
    return _Kind(ProblemCode.PERSONAL_DATA, name, compiled, lambda match: is_one(match.group()))


def _is_password(match: re.Match[str]) -> bool:
    """The name before it says what it is."""
    before = match.string[max(0, match.start() - 48) : match.start()]
    return _NAMES_SECRET.search(before) is not None and looks_like_a_password(match[match.lastindex or 0])


def _is_key_material(match: re.Match[str]) -> bool:
    """Base64, and no long word of an explanation."""
    return any(character.isupper() for character in match[1][1:]) and any(character.islower() for character in match[1])


def _is_password_of_address(match: re.Match[str]) -> bool:
    return looks_like_a_password(match[1])


def _is_address(match: re.Match[str]) -> bool:
    """What RFC 2606 keeps for examples is nobody's, and `git@` is the user of every repository."""
    user = _USER.search(match.string, max(0, match.start() - 65), match.start())
    return user is not None and user.group() != "git" and _EXAMPLE_HOST.search(match[1].casefold()) is None


def _is_always_one(_match: object) -> bool:
    return True


_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_FEWEST_DIGITS = 7
"""An NIE has seven."""
_LONG_NUMBER = re.compile(r"[0-9](?:[ .()-]{0,2}[0-9]){6}")

_NAMES_SECRET = re.compile(
    r"(?i)(?:passw(?:or)?d|pwd|secret|token|(?:api|access|private)[_-]?key|contrase[ñn]a|clave_(?:api|secreta|privada|de_acceso))\w{0,16}[\"']?\]?\s?$"
)
_VALUE = r"(?:\"([^\s\"]{8,128})\"|'([^\s']{8,128})'|([^\s\"'`()\[\]{}<>,;.]{8,128}+)(?!\S))"
_USER = re.compile(r"(?<![\w.+/:-])[\w.+-]{1,64}$")
_EXAMPLE_HOST = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid)$")


def _marked(mark: str, *kinds: _Kind, hint: str = "") -> _Marked:
    """The kinds themselves are hint enough where their patterns begin with one plain character."""
    return _Marked(mark, re.compile(hint) if hint else kinds[0].pattern, kinds)


def _assigned(sign: str) -> _Kind:
    return _Kind(ProblemCode.SECRET, "a password or key", re.compile(rf"{sign}\s?{_VALUE}"), _is_password)


_MARKED = (
    _marked(
        "-",
        _Kind(
            ProblemCode.SECRET,
            "a private key",
            re.compile(r"-----BEGIN (?:[A-Z]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----[^-]{0,200}?([A-Za-z0-9+/=]{12,64})"),
            _is_key_material,
        ),
        _token("an API key", r"sk-(?<!\w...)[\w-]{20,255}"),
        _token("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{20,255}"),
        _token("a GitLab token", r"glpat-[\w-]{20,255}"),
        hint=r"-(?:(?<=sk-)|(?<=xox[a-z]-)|(?<=glpat-)|----BEGIN )",
    ),
    _marked(
        "_",
        _token("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
        _token("a GitHub token", r"github_pat_\w{60,255}"),
        _token("an API key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}"),
        _token("an API key", r"hf_[A-Za-z0-9]{30,255}"),
        _token("an API key", r"npm_[A-Za-z0-9]{30,255}"),
        hint=r"_(?:(?<=gh[pousr]_)|(?<=github_pat_)|(?<=[sr]k_)|(?<=hf_)|(?<=npm_))\w{16}",
    ),
    _marked("K", _token("an AWS access key", r"AKIA(?<!\w....)[A-Z0-9]{16}\b")),
    _marked("I", _token("a Google API key", r"AIza[\w-]{35}(?![\w-])")),
    _marked("J", _token("a JSON Web Token", r"eyJ(?<![\w-]...)[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),
    _marked("B", _token("a bearer token", r"Bearer +[\w.~+/-]{20,}")),
    _marked("=", _assigned("=")),
    _marked(":", _assigned(":")),
    _marked(
        "@",
        _Kind(
            ProblemCode.PERSONAL_DATA,
            "an e-mail address",
            re.compile(r"@((?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24})(?![\w-])"),
            _is_address,
        ),
        _Kind(
            ProblemCode.SECRET,
            "a password in an address",
            re.compile(r"://[^\s/:@]{1,64}:([^\s/:@]{6,64})@"),
            _is_password_of_address,
        ),
        hint="@[A-Za-z0-9]",
    ),
)

_ALONE = r"(?<![\w.,+-])"
_COMPLETE = r"(?!\w|[.,-]\d)"
_NUMBERS = (
    _number("a DNI", rf"{_ALONE}(?:[0-9]{{8}}|[0-9]{{1,2}}\.[0-9]{{3}}\.[0-9]{{3}})[- ]?[A-HJ-NP-TV-Z](?!\w)", is_dni),
    _number("an NIE", rf"{_ALONE}[XYZ][- ]?[0-9]{{7}}[- ]?[A-HJ-NP-TV-Z](?!\w)", is_dni),
    _number(
        "a bank account", r"\b[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![a-z0-9])", is_iban
    ),
    _number("a card number", rf"{_ALONE}[0-9]{{4}}(?:[ -]?[0-9]){{9,15}}{_COMPLETE}", is_card_number),
    _number(
        "a phone number", r"\+(?<!\w.)[0-9]{1,3}(?:[ .-]?\(?[0-9]{1,4}\)?){2,6}(?!\w)", is_international_phone_number
    ),
    # In the groups of phone numbers; three groups of three are how thousands are written too.
    _number(
        "a phone number", rf"{_ALONE}[6-9][0-9]{{2}}([ .-])[0-9]{{2}}(?:\1[0-9]{{2}}){{2}}{_COMPLETE}", _is_always_one
    ),
    _number("a phone number", rf"{_ALONE}[89][0-9]([ .-])[0-9]{{3}}(?:\1[0-9]{{2}}){{2}}{_COMPLETE}", _is_always_one),
    _number("a phone number", rf"\([2-9][0-9]{{2}}\) ?[0-9]{{3}}-[0-9]{{4}}{_COMPLETE}", _is_always_one),
    _number(
        "a phone number",
        r"(?i:\b(?:tel[eé]fono|tel[eé]f|tel|tfno|m[oó]vil|celular|whatsapp|ll[aá]m\w+|phone|mobile|call|fax)\b)"
        rf"[^0-9\n]{{0,24}}[6-9](?:[ .-]?[0-9]){{8}}{_COMPLETE}",
        _is_always_one,
    ),
)
