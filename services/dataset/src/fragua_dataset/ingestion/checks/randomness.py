"""Tells what a machine or a careful person made up from what a teacher writes in its place."""

from __future__ import annotations

import re

_PLACEHOLDER = re.compile(
    r"(?i)x{4}|\*{3}|\.{3}|<|>|\$\{|\{\{|%\(|"
    r"ejemplo|example|sample|dummy|fake|change_?me|placeholder|your|tu_|tu-|mi_|my_|aqu[ií]|here|"
    r"passw|contrase|clave|secret|token|api_?-?key|usuario|user|admin|prueba|test|demo|foo|bar|hola|"
    r"0123|1234|4321|abcd|qwert"
)
_KINDS = (r"[a-zñáéíóúü]", r"[A-ZÑÁÉÍÓÚÜ]", r"[0-9]", r"[^\w\s]")
_LONG_CODE = re.compile(r"(?=(?:.*[0-9]){4})[A-Za-z0-9+/]{20,}={0,2}")
"""Hexadecimal or base64, without the underscores and hyphens of names."""


def looks_random(token: str) -> bool:
    """Has digits and many different characters, unlike `sk-xxxxxxxxxxxxxxxxxxxx` or `sk-learn-pipeline-examples`."""
    return any(character.isdigit() for character in token) and len(set(token)) >= 10


def looks_like_a_password(value: str) -> bool:
    """Mixes kinds of characters as a password does, or is a long code; unlike `secreta123`, `request_2024` or `tu_clave`."""
    if _PLACEHOLDER.search(value):
        return False
    kinds = sum(1 for kind in _KINDS if re.search(kind, value))
    return (kinds >= 3 and len(set(value)) >= 6) or (_LONG_CODE.fullmatch(value) is not None and looks_random(value))
