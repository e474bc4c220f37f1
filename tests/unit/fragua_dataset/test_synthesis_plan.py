"""What a synthesis asks: variants of concepts and wordings of prompts, the same for the same specification."""

from collections import Counter

import pytest

from fragua_dataset.domain.prompt_catalog import own_prompt, packaged_prompt, packaged_prompts, packaged_variations
from fragua_dataset.domain.synthesis_spec import PLACEHOLDERS, Budget, Variations
from fragua_dataset.synthesis.plan import messages_of, number_planned, planned_requests, variants_of
from fragua_platform.errors import InvalidInput, NotFound
from tests.unit.fragua_dataset.synthesizing import CONCEPTS, synthesis


def test_the_same_seed_plans_the_same_requests_and_another_seed_others() -> None:
    plans = [list(planned_requests(synthesis(seed=seed))) for seed in (7, 7, 8)]
    assert plans[0] == plans[1] != plans[2]


# R134, R135
@pytest.mark.parametrize("count", [3, 4, 5])
def test_the_variants_of_a_concept_differ_in_their_domains_first(count: int) -> None:
    variants = variants_of("la piñata", packaged_variations("es"), count, seed=0)
    assert len(variants) == len(set(variants)) == count
    assert len({variant.domain for variant in variants}) == count
    assert len({(variant.audience, variant.complexity) for variant in variants}) > 1


def test_a_concept_has_no_more_variants_than_can_be_told_apart() -> None:
    few = Variations(domains=("salud", "salud"), audiences=("médicas",), complexities=("baja", "alta"))
    assert len(variants_of("la piñata", few, 50, seed=0)) == 2


def test_a_plan_cut_short_has_asked_for_every_concept() -> None:
    first = list(planned_requests(synthesis()))[:2]
    assert [request.variant.concept for request in first] == list(CONCEPTS)


# R178
def test_variants_are_asked_for_in_several_wordings() -> None:
    requests = list(planned_requests(synthesis()))
    assert Counter(request.wording for request in requests) == {0: 3, 1: 3, 2: 2}


# R178
def test_with_a_number_of_examples_to_reach_everything_can_be_asked_again_in_other_words() -> None:
    once, often = synthesis(), synthesis(budget=Budget(max_examples=20))
    assert number_planned(often) == 3 * number_planned(once)
    asked = [(request.variant, request.wording) for request in planned_requests(often)]
    assert len(set(asked)) == len(asked)
    assert [request.number for request in planned_requests(often)] == list(range(len(asked)))


@pytest.mark.parametrize("language", ["es", "en", "ca"])
@pytest.mark.parametrize("name", packaged_prompts())
def test_packaged_prompts_leave_nothing_to_fill_in(name: str, language: str) -> None:
    spec = synthesis(name, prompt=packaged_prompt(name, language), language=language)
    for request in planned_requests(spec):
        text = "".join(message["content"] for message in messages_of(request, spec.prompt, language))
        assert request.variant.concept in text and request.variant.domain in text
        assert not [name for name in PLACEHOLDERS if f"{{{name}}}" in text]


def test_a_language_without_prompts_of_its_own_is_asked_for_in_english() -> None:
    spec = synthesis(prompt=packaged_prompt("instruct", "ca"), language="ca")
    system = messages_of(next(planned_requests(spec)), spec.prompt, "ca")[0]
    assert system["role"] == "system" and "ISO 639-1 code ca" in system["content"]


def test_a_prompt_of_ones_own_may_show_json() -> None:
    spec = synthesis(prompt=own_prompt('Sobre {concept}: {"output": "{x}"}', "alpaca"))
    asked = messages_of(next(planned_requests(spec)), spec.prompt, "es")[-1]["content"]
    assert asked == 'Sobre la piñata: {"output": "{x}"}'


def test_a_prompt_that_asks_the_same_of_every_concept_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"\{concept\}"):
        own_prompt("Escribe lo que quieras de {domain}.", "alpaca")


def test_an_unknown_prompt_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(NotFound, match="business-requirements, instruct"):
        packaged_prompt("poesía", "es")
