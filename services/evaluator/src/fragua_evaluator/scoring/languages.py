"""Guesses which language a text is in, well enough to notice that an answer changed it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_FUNCTION_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "English": "the of and to is that it for was with are this be have from or by not which you an they were has",
        "Spanish": "el la los las de y que en un una es por con para del se lo al como más pero sus su está son cuando",
        "Portuguese": "o os as de e que em um uma é por com para do da no na se não mais mas ao dos das você são como",
        "French": "le la les de et que en un une est par avec pour du des se ne pas au aux ce qui dans sur sont vous",
        "German": "der die das und zu ist in ein eine nicht mit von den für auf dem sich des im als auch wird sind es",
        "Italian": "il lo la gli le di e che in un una è per con del della si non più ma nel come sono al dei alla",
    }.items()
}
_LEAST_WORDS = 4
_LONGEST = 20_000
_SCRIPTS = {
    "CYRILLIC": "Cyrillic script",
    "GREEK": "Greek",
    "ARABIC": "Arabic script",
    "HEBREW": "Hebrew script",
    "DEVANAGARI": "Devanagari script",
    "THAI": "Thai",
    "HANGUL": "Korean",
    # Japanese writes in all three.
    "CJK": "Chinese or Japanese",
    "HIRAGANA": "Chinese or Japanese",
    "KATAKANA": "Chinese or Japanese",
}


def language_of(text: str) -> str | None:
    """The language with clearly the most function words, or else the script where that is not Latin; None when there is
    too little to tell, as in code or in a list of names."""
    text = text[:_LONGEST]
    if (script := _script_of(text)) is not None:
        return script
    words = Counter(re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text).casefold()))
    found = sorted(
        ((sum(words[word] for word in known), language) for language, known in _FUNCTION_WORDS.items()), reverse=True
    )
    (most, language), (next_most, _) = found[:2]
    return language if most >= _LEAST_WORDS and most >= 1.25 * next_most else None


def _script_of(text: str) -> str | None:
    letters = [letter for letter in text if letter.isalpha()]
    names = [unicodedata.name(letter, "").replace("-", " ").split(" ")[0] for letter in letters if ord(letter) > 0x36F]
    found = Counter(_SCRIPTS[name] for name in names if name in _SCRIPTS)
    script, count = next(iter(found.most_common(1)), ("", 0))
    return script if 2 * count > len(letters) else None
