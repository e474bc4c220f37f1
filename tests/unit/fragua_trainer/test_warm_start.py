"""Training on from an adapter: it goes on as it was, and only where base and shapes are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from fragua_platform.errors import Corrupted, InvalidInput
from fragua_trainer.domain.training_spec import LoraSpec, Precision
from fragua_trainer.training.adapter import attach_lora, match_targets, trainable_parameters
from fragua_trainer.training.base_model import empty_model, load_base_model, open_base_model
from fragua_trainer.training.warm_start import check_warm_start, load_warm_start
from tests.tiny_models import make_tiny_llama

LORA = LoraSpec(rank=4, alpha=8, target_modules=("q_proj", "down_proj"))
TARGETS = {"q_proj": 2, "down_proj": 2}
BASE = "baseModels/tiny/revisions/1"


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """An adapter that has learned something."""
    adapted = _adapter(make_tiny_llama(tmp_path / "base", seed=1))
    for _, parameter in trainable_parameters(adapted):
        parameter.data += 1
    adapted.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    return tmp_path / "adapter"


# R36
def test_the_new_adapter_begins_as_the_former_one_ended(former: Path) -> None:
    check_warm_start(former, LORA, TARGETS, BASE)
    adapted = _adapter(former.parent / "base")

    load_warm_start(former, adapted)

    again = PeftModel.from_pretrained(
        load_base_model(open_base_model(former.parent / "base"), Precision.FP32, torch.device("cpu")), str(former)
    )
    expected = {name: parameter for name, parameter in again.named_parameters() if "lora_" in name}
    assert expected.keys() == dict(trainable_parameters(adapted)).keys()
    assert all(torch.equal(parameter, expected[name]) for name, parameter in trainable_parameters(adapted))
    assert len(trainable_parameters(adapted)) == 8  # and they train


def test_every_difference_is_named_with_what_to_take(former: Path) -> None:
    other = LoraSpec(rank=8, alpha=8, target_modules=("q_proj",), dora=True)

    with pytest.raises(InvalidInput) as refused:
        check_warm_start(former, other, {"q_proj": 2}, "baseModels/other/revisions/2")

    told = {violation.field: violation.description for violation in refused.value.violations}
    assert told["lora.rank"] == "is 8, but the adapter to go on from was trained with 4: take that"
    assert told.keys() == {"lora.rank", "lora.target_modules", "lora.dora", "warm_start"}
    assert BASE in told["warm_start"]


def test_an_adapter_of_a_wider_base_does_not_fit(former: Path) -> None:
    wider = _adapter(make_tiny_llama(former.parent / "wider", seed=1, hidden=128))

    with pytest.raises(InvalidInput, match="8 weights do not fit this base"):
        load_warm_start(former, wider)


def test_a_damaged_adapter_is_told_apart(former: Path) -> None:
    weights = former / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])

    with pytest.raises(Corrupted, match="is damaged"):
        load_warm_start(former, _adapter(former.parent / "base"))


def _adapter(base: Path) -> PeftModel:
    opened = open_base_model(base)
    model = load_base_model(opened, Precision.FP32, torch.device("cpu"))
    return attach_lora(model, LORA, match_targets(empty_model(opened), LORA), 1, BASE)
