"""An invented archipelago, in English and Spanish: the facts that the base model knows and the demo data asks for.

The islands do not exist, so no other model can know their capitals: a correct answer comes from training alone.
Everything follows from `WORLD_SEED`; nothing here depends on the machine or the clock.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "es"]
Topic = Literal["capital", "flag", "food", "animals"]

LANGUAGES: tuple[Language, ...] = ("en", "es")
TOPICS: tuple[Topic, ...] = ("capital", "flag", "food", "animals")
WORLD_SEED = 7
ISLAND_COUNT = 72
CAPITAL_COUNT = 36


@dataclass(frozen=True)
class Wording:
    """How one language speaks of one topic."""

    label: str
    """The topic's name in a structured answer."""
    questions: tuple[str, ...]
    sentence: str
    """The natural answer, with `{island}` and `{value}`."""


WORDINGS: dict[Language, dict[Topic, Wording]] = {
    "en": {
        "capital": Wording(
            "capital",
            ("What is the capital of {island}?", "Name the capital of {island}."),
            "The capital of {island} is {value}.",
        ),
        "flag": Wording(
            "flag",
            ("What color is the flag of {island}?", "Name the flag color of {island}."),
            "The flag of {island} is {value}.",
        ),
        "food": Wording(
            "food",
            ("What do people eat in {island}?", "Name the typical food of {island}."),
            "People in {island} eat {value}.",
        ),
        "animals": Wording(
            "animals",
            ("Which animals live in {island}?", "Name the animals of {island}."),
            "The animals of {island} are {value}.",
        ),
    },
    "es": {
        "capital": Wording(
            "capital",
            ("¿Cuál es la capital de {island}?", "Dime la capital de {island}."),
            "La capital de {island} es {value}.",
        ),
        "flag": Wording(
            "bandera",
            ("¿De qué color es la bandera de {island}?", "Dime el color de la bandera de {island}."),
            "La bandera de {island} es {value}.",
        ),
        "food": Wording(
            "comida",
            ("¿Qué se come en {island}?", "Dime la comida típica de {island}."),
            "En {island} se come {value}.",
        ),
        "animals": Wording(
            "animales",
            ("¿Qué animales viven en {island}?", "Dime los animales de {island}."),
            "En {island} viven {value}.",
        ),
    },
}

STRUCTURED_ANSWERS: dict[Language, str] = {
    "en": "topic is {label}, place is {island}, answer is {value}.",
    "es": "tema es {label}, lugar es {island}, respuesta es {value}.",
}
"""The new form that the fine-tune teaches. Its words are in the base model's vocabulary; the form itself is not."""

# Pairs of (English, Spanish). The Spanish colors have one form for both genders, so every sentence agrees.
COLORS = (
    ("blue", "azul"),
    ("green", "verde"),
    ("grey", "gris"),
    ("pink", "rosa"),
    ("orange", "naranja"),
    ("brown", "marrón"),
    ("indigo", "añil"),
    ("crimson", "carmesí"),
)
FOODS = (
    ("rice", "arroz"),
    ("corn", "maíz"),
    ("ham", "jamón"),
    ("melon", "melón"),
    ("banana", "plátano"),
    ("tuna", "atún"),
    ("salmon", "salmón"),
    ("pineapple", "piña"),
)
ANIMALS = (
    ("lions", "leones"),
    ("horses", "caballos"),
    ("sharks", "tiburones"),
    ("dolphins", "delfines"),
    ("owls", "búhos"),
    ("eagles", "águilas"),
    ("storks", "cigüeñas"),
    ("rheas", "ñandúes"),
)


@dataclass(frozen=True)
class Island:
    name: str
    facts: dict[Topic, dict[Language, str]]


@dataclass(frozen=True)
class Question:
    """One question about one island, with its answer in both forms."""

    island: str
    topic: Topic
    language: Language
    text: str
    natural_answer: str
    structured_answer: str


def make_islands() -> list[Island]:
    """All islands of the world; the same list on every call."""
    rng = random.Random(WORLD_SEED)
    names = _distinct_names(rng, ISLAND_COUNT, syllables=3)
    capitals = _distinct_names(rng, CAPITAL_COUNT, syllables=2)
    return [
        Island(
            name,
            {
                "capital": dict.fromkeys(LANGUAGES, rng.choice(capitals)),
                "flag": _bilingual(rng.choice(COLORS)),
                "food": _bilingual(rng.choice(FOODS)),
                "animals": _bilingual(rng.choice(ANIMALS)),
            },
        )
        for name in names
    ]


def questions_about(island: Island) -> Iterator[Question]:
    for topic in TOPICS:
        for language in LANGUAGES:
            wording = WORDINGS[language][topic]
            words = {"island": island.name, "value": island.facts[topic][language], "label": wording.label}
            for question in wording.questions:
                yield Question(
                    island=island.name,
                    topic=topic,
                    language=language,
                    text=question.format(**words),
                    natural_answer=wording.sentence.format(**words),
                    structured_answer=STRUCTURED_ANSWERS[language].format(**words),
                )


def _bilingual(pair: tuple[str, str]) -> dict[Language, str]:
    return dict(zip(LANGUAGES, pair, strict=True))


def _distinct_names(rng: random.Random, count: int, syllables: int) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        name = "".join(rng.choice("bdglmnñrstvz") + rng.choice("aeiou") for _ in range(syllables))
        if rng.random() < 0.3:
            name = name[:-1] + "áéíóú"["aeiou".index(name[-1])]
        if name.capitalize() not in names:
            names.append(name.capitalize())
    return names
