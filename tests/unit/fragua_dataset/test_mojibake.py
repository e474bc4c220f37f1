"""Text that was UTF-8 and was read as something else is found, mended, and never confused with sound text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragua_dataset.ingestion.mojibake import may_be_misread, misread, repaired

SPANISH = st.text(
    st.sampled_from("abcdeghilnopqrstuvz ABCDEN áéíóúñüÁÉÍÓÚÑÜ ¿?¡!«»“”‘’—–…ºª°€·½²,.;:()-0123456789\n😀"), max_size=60
)
READINGS = ("cp1252", "latin-1", "mac_roman")


def read_as(text: str, encoding: str) -> str:
    """The bytes of the text, read wrongly; what Windows-1252 does not know stays the byte that it is."""
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in text.encode())


@given(SPANISH)
def test_sound_spanish_is_never_touched(text: str) -> None:
    assert misread(text) is None
    assert repaired(text) == text


@pytest.mark.parametrize(
    "sound",
    [
        "¿Qué? ¡Ñandú! «Ângela» CORAÇÃO São – “comillas” 5 €",
        "â, Ã y Â son letras",
        "Y dijo: «SÍ» y «NO», ¡CAMIÓ… NO!",
        "La integral gaussiana vale √π, y 2√π es el doble; √2, √∑xᵢ, √∫f, ¬p ∧ ¬q, ¬∞",
        "‚Gänsefüßchen‘ und „Größe“, Å und Ä",
        "naïf, château, Noël, Ô temps",
        "日本語 и русский",
    ],
)
def test_sound_text_with_the_same_letters_is_never_touched(sound: str) -> None:
    assert misread(sound) is None
    assert repaired(sound) == sound


@pytest.mark.parametrize("encoding", READINGS)
@pytest.mark.parametrize(
    "meant",
    [
        "¿Qué es un árbol? Un niño subió rápido.",
        "«ÁRBOL», «ÉPOCA», «ÍNDICE», «ÓPTIMO», «ÚNICO», «AÑO»",
        "“comillas” — raya… 5 € 3º 2ª 20 °C",
        "pingüino 😀",
        "número único",
    ],
)
def test_what_was_read_wrongly_reads_as_it_was_meant(meant: str, encoding: str) -> None:
    wrong = read_as(meant, encoding)
    assert may_be_misread(wrong)
    assert misread(wrong) is not None
    assert repaired(wrong) == meant


@pytest.mark.parametrize("first", READINGS)
@pytest.mark.parametrize("second", READINGS)
def test_text_that_was_read_wrongly_twice_is_mended_too(first: str, second: str) -> None:
    assert repaired(read_as(read_as("El niño comió piña", first), second)) == "El niño comió piña"


def test_sound_and_broken_words_may_stand_side_by_side() -> None:
    assert repaired("El año: piÃ±a, «SÍ», camiÃ³n") == "El año: piña, «SÍ», camión"


@pytest.mark.parametrize(
    ("broken", "found", "meant", "encoding"),
    [
        ("piÃ±a", "Ã±", "ñ", "Windows-1252"),
        ("\u00c3\u0081rbol", "\u00c3\u0081", "Á", "Latin-1"),
        ("pi√±a", "√±", "ñ", "Mac Roman"),
        ("a â€œbâ€\x9d", "â€œ", "“", "Windows-1252"),
    ],
)
def test_a_finding_tells_what_it_was_and_how_it_was_read(broken: str, found: str, meant: str, encoding: str) -> None:
    assert misread(broken) == (found, meant, encoding)


@given(
    st.text(st.characters(codec="utf-8"), max_size=40) | st.text("aÃ±Â¿â€œ√¬±©‚Äúüò\uf8ffÄ \u0083\u0080", max_size=20)
)
def test_mending_ends_and_what_is_mended_stays(text: str) -> None:
    once = repaired(text)
    assert repaired(once) == once
    assert misread(once) is None
    assert may_be_misread(text) or misread(text) is None
