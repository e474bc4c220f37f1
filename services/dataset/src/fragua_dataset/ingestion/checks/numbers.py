"""Tells numbers that belong to a person from numbers that look like it, by their check letters and check sums."""

from __future__ import annotations

import re

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_IBAN_LENGTHS = {
    country: int(length)
    for country, length in (
        pair.split(":")
        for pair in [
            "AD:24",
            "AT:20",
            "BE:16",
            "BG:22",
            "CH:21",
            "CY:28",
            "CZ:24",
            "DE:22",
            "DK:18",
            "EE:20",
            "ES:24",
            "FI:18",
            "FR:27",
            "GB:22",
            "GR:27",
            "HR:21",
            "HU:28",
            "IE:22",
            "IS:26",
            "IT:27",
            "LI:21",
            "LT:20",
            "LU:20",
            "LV:21",
            "MC:27",
            "MT:31",
            "NL:18",
            "NO:15",
            "PL:28",
            "PT:25",
            "RO:24",
            "SE:24",
            "SI:19",
            "SK:24",
            "SM:27",
        ]
    )
}
_CARD = re.compile(r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d)\d{12}")
"""Visa, Mastercard, American Express, Discover."""
_COUNTRY_CODES_OF_NINE = ("34", "351", "33")
"""Where a number has nine digits after its country's code: Spain, Portugal, France."""


def is_dni(number: str) -> bool:
    """A Spanish DNI, or an NIE, whose X, Y or Z stands for 0, 1 or 2; the letter at the end follows from the digits."""
    plain = _letters_and_digits(number)
    digits = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return _DNI_LETTERS[int(digits) % 23] == plain[-1]


def is_iban(number: str) -> bool:
    """Of text that begins like an IBAN; what follows it may be a word, so the country says how long it is."""
    plain = _letters_and_digits(number)
    length = _IBAN_LENGTHS.get(plain[:2], 0)
    if not length or len(plain) < length:
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:length] + plain[:4])) % 97 == 1


def is_card_number(number: str) -> bool:
    digits = _letters_and_digits(number)
    if not _CARD.fullmatch(digits):
        return False
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (sum(int(digit) for digit in digits[-1::-2]) + sum(digit // 10 + digit % 10 for digit in doubled)) % 10 == 0


def is_international_phone_number(number: str) -> bool:
    """Of `+`, a country's code and the rest."""
    digits = _letters_and_digits(number)
    for code in _COUNTRY_CODES_OF_NINE:
        if digits.startswith(code):
            return len(digits) == len(code) + 9
    return 10 <= len(digits) <= 15 and not digits.startswith("0")


def _letters_and_digits(number: str) -> str:
    return "".join(character for character in number if character.isalnum())
