"""Arms that were not asked the same are not compared."""

import pytest

from fragua_evaluator.domain.arm import ArmSpec, LocalModel, Prompting
from fragua_evaluator.scoring.same_prompts import refuse_other_prompts
from fragua_platform.errors import InvalidInput


def arm(name: str, family: str = "base-1", system: str = "") -> ArmSpec:
    return ArmSpec(name=name, target=LocalModel(base="models/a"), family=family, prompting=Prompting(system=system))


def test_a_template_that_differs_within_a_family_is_named_with_the_first_question() -> None:
    prompts = {"base": {"s/1/0": "x", "s/2/0": "y"}, "gguf": {"s/1/0": "x", "s/2/0": "z"}}
    with pytest.raises(InvalidInput, match=r"arm gguf gets other prompts than arm base for 1 of 2 .* s/2/0") as refused:
        refuse_other_prompts([arm("base"), arm("gguf")], prompts)
    assert refused.value.reason == "UNFAIR_PROMPTS"


@pytest.mark.parametrize(
    "other",
    [arm("other", family="base-2"), arm("other", family=""), arm("other", system="Sé breve.")],
    ids=["another base", "an endpoint", "its own prompting"],
)
def test_arms_that_are_meant_to_differ_may(other: ArmSpec) -> None:
    refuse_other_prompts([arm("base"), other], {"base": {"s/1/0": "x"}, "other": {"s/1/0": "z"}})


def test_what_nobody_can_know_is_not_held_against_an_arm() -> None:
    refuse_other_prompts([arm("base"), arm("other")], {"base": {"s/1/0": "x"}, "other": {"s/1/0": None}})
