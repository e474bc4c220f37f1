"""When a base is split over the processes of a run, and what each of them then needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fragua_platform.errors import InvalidInput
from fragua_trainer.domain.training_spec import Precision, Quantization, Substitution, TrainingSpec
from fragua_trainer.training.base_model import empty_model, open_base_model
from fragua_trainer.training.needs import memory_needed
from fragua_trainer.training.sharding import can_shard, decoder_layers, refuse_lonely_sharding
from tests.tiny_models import make_tiny_llama


def test_one_process_cannot_split_a_base_and_says_so() -> None:
    asked = TrainingSpec(shard_base=True)

    with pytest.raises(InvalidInput, match="nobody to share the base with; give the worker several GPUs") as refused:
        refuse_lonely_sharding(asked, processes=1)

    assert [violation.field for violation in refused.value.violations] == ["shard_base"]
    allowed = asked.model_copy(update={"substitution": Substitution.ALLOW})
    assert refuse_lonely_sharding(allowed, processes=1) == "shard_base was left out: there is one process"
    assert refuse_lonely_sharding(asked, processes=2) == refuse_lonely_sharding(TrainingSpec(), processes=1) == ""


def test_a_quantized_base_is_not_split_and_whoever_asks_for_both_is_told() -> None:
    assert can_shard(TrainingSpec(), Quantization.AUTO, processes=2)
    assert not can_shard(TrainingSpec(), Quantization.BNB4, processes=2)
    assert not can_shard(TrainingSpec(shard_base=False), Quantization.AUTO, processes=2)
    with pytest.raises(InvalidInput, match="shard_base: cannot split a base in int8"):
        TrainingSpec.parse({"shard_base": True, "quantization": "int8"})


def test_a_process_needs_its_part_of_the_layers_and_two_of_them_whole(tmp_path: Path) -> None:
    model = empty_model(open_base_model(make_tiny_llama(tmp_path, seed=1, layers=8)))
    layer = sum(weight.numel() for weight in decoder_layers(model)[0].parameters())
    beside = sum(weight.numel() for weight in model.parameters()) - 8 * layer

    cpu = torch.device("cpu")

    def needed(shards: int) -> int:
        return memory_needed(model, TrainingSpec(), Quantization.AUTO, Precision.FP32, 0, 64, True, cpu, shards)

    held = 4 * ((8 * layer + beside) / 4 + 2 * layer + beside)
    assert needed(1) - needed(4) == pytest.approx(4 * (8 * layer + beside) - held, abs=2)
