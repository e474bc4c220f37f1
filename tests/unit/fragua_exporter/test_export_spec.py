"""The export spec: defaults that work, and every problem of a bad one named at once."""

from __future__ import annotations

import pytest

from fragua_exporter.domain.export_spec import DIVERGENCE_LIMITS, DivergenceLimit, Quantization, parse_export_spec
from fragua_platform.errors import InvalidInput

SMALLEST = {"model_name": "tutor", "quantizations": ["q8_0"], "probe_prompt": "¿Qué es un árbol?"}


def test_the_smallest_spec_gets_the_documented_defaults() -> None:
    spec = parse_export_spec(SMALLEST)
    assert spec.parameters.model_dump() == {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "num_ctx": 4096}
    assert spec.probe_max_tokens == 64
    assert spec.file_name(Quantization.Q8_0) == "tutor-q8_0.gguf"


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_export_spec(
            {"model_name": "../etc", "quantizations": ["q3"], "parameters": {"top_p": 0}, "probe_prompt": "", "x": 1}
        )
    fields = {violation.field for violation in refused.value.violations}
    assert fields == {"model_name", "quantizations.0", "parameters.top_p", "probe_prompt", "x"}


@pytest.mark.parametrize("quantizations", [[], ["f16", "f16"]])
def test_at_least_one_quantization_and_each_once(quantizations: list[str]) -> None:
    with pytest.raises(InvalidInput):
        parse_export_spec(SMALLEST | {"quantizations": quantizations})


@pytest.mark.parametrize("form", ["merged_model", "adapter_gguf"])
def test_another_form_may_be_all_that_is_asked_for(form: str) -> None:
    assert parse_export_spec({"model_name": "tutor", "probe_prompt": "¿?", form: True}).quantizations == ()


def test_a_branch_can_set_its_own_limits_and_inherits_the_others() -> None:
    spec = parse_export_spec(SMALLEST | {"limits": {"q4_k_m": {"mean_kl": 0.05, "max_kl": 0.7}}})
    assert spec.limit(Quantization.Q4_K_M) == DivergenceLimit(mean_kl=0.05, max_kl=0.7)
    assert spec.limit(Quantization.Q8_0) == DIVERGENCE_LIMITS[Quantization.Q8_0]
    assert parse_export_spec(spec.model_dump(mode="json")) == spec
    with pytest.raises(InvalidInput) as refused:
        parse_export_spec(SMALLEST | {"limits": {"q4_k_m": {"mean_kl": 0.05, "max_kl": float("nan")}}})
    assert [violation.field for violation in refused.value.violations] == ["limits.q4_k_m.max_kl"]
