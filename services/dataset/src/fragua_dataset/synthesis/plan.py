"""What is asked, in which order: every concept in several variants, each variant in the next words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from fragua_dataset.domain.prompt_catalog import filled_in
from fragua_dataset.domain.synthesis_spec import Prompt, SynthesisSpec, Variations


@dataclass(frozen=True)
class Variant:
    concept: str
    domain: str
    audience: str
    complexity: str


@dataclass(frozen=True)
class Request:
    number: int
    variant: Variant
    wording: int
    """Which of the prompt's wordings."""


def planned_requests(spec: SynthesisSpec) -> Iterator[Request]:
    """The same specification gives the same requests.

    All concepts get their first variant before any gets its second, so a budget that ends early ends evenly. Where a
    number of examples was asked for, everything is asked again in other words until there are so many.
    """
    rows = [variants_of(concept, spec.variations, spec.variants_per_concept, spec.seed) for concept in spec.concepts]
    in_turn = [row[turn] for turn in range(max(map(len, rows))) for row in rows if turn < len(row)]
    words = len(spec.prompt.wordings)
    for lap in range(words if spec.budget.max_examples else 1):
        for place, variant in enumerate(in_turn):
            # The first lap already uses all wordings, and no lap asks one thing in the same words again.
            yield Request(lap * len(in_turn) + place, variant, (place + lap) % words)


def number_planned(spec: SynthesisSpec) -> int:
    return sum(1 for _ in planned_requests(spec))


def variants_of(concept: str, variations: Variations, count: int, seed: int) -> list[Variant]:
    """As different as can be: every domain once before any comes again; fewer where there are not so many."""
    chance = random.Random(f"{seed}/{concept}")
    domains = list(dict.fromkeys(variations.domains))
    chance.shuffle(domains)
    left = {domain: _shuffled_pairs(variations, chance) for domain in domains}
    variants: list[Variant] = []
    while any(left.values()):
        for domain in domains:
            if len(variants) == count:
                return variants
            if left[domain]:
                variants.append(Variant(concept, domain, *left[domain].pop()))
    return variants


def messages_of(request: Request, prompt: Prompt, language: str) -> list[dict[str, str]]:
    values = _values(request.variant, language)
    wording = {"role": "user", "content": filled_in(prompt.wordings[request.wording], values)}
    return [{"role": "system", "content": filled_in(prompt.system, values)}, wording] if prompt.system else [wording]


def concept_text(variant: Variant, prompt: Prompt, language: str) -> str:
    return filled_in(prompt.concept, _values(variant, language))


def _values(variant: Variant, language: str) -> dict[str, str]:
    return vars(variant) | {"language": language}


def _shuffled_pairs(variations: Variations, chance: random.Random) -> list[tuple[str, str]]:
    pairs = [(audience, complexity) for audience in variations.audiences for complexity in variations.complexities]
    pairs = list(dict.fromkeys(pairs))
    chance.shuffle(pairs)
    return pairs
