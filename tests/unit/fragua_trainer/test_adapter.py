"""Which layers an adapter goes on, and what the base model must bring."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fragua_platform.errors import Corrupted, InvalidInput
from fragua_trainer.domain.training_spec import LoraBias, LoraSpec, Precision
from fragua_trainer.training.adapter import attach_lora, match_targets, trainable_parameters, with_fused_names
from fragua_trainer.training.base_model import empty_model, load_base_model, open_base_model
from fragua_trainer.training.embedding_noise import add_embedding_noise
from fragua_trainer.training.hardware import choose_precision
from tests.tiny_families import make_tiny_family
from tests.tiny_models import make_tiny_llama, make_tiny_phi3

CPU = torch.device("cpu")
SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


# R143
def test_no_names_take_every_linear_layer_but_the_head(tmp_path: Path) -> None:
    phi3 = empty_model(open_base_model(make_tiny_phi3(tmp_path, seed=1)))

    assert match_targets(phi3, LoraSpec()) == {"down_proj": 2, "gate_up_proj": 2, "o_proj": 2, "qkv_proj": 2}


def test_every_name_that_matches_nothing_is_reported_with_what_there_is(tmp_path: Path) -> None:
    phi3 = empty_model(open_base_model(make_tiny_phi3(tmp_path, seed=1)))

    with pytest.raises(InvalidInput) as refused:
        match_targets(phi3, LoraSpec(target_modules=("q_proj", "v_proj", "o_proj")))

    assert [violation.field for violation in refused.value.violations] == ["lora.target_modules"] * 2
    assert "'q_proj' matches no linear layer" in refused.value.violations[0].description
    assert "it has down_proj, gate_up_proj, o_proj, qkv_proj" in refused.value.violations[0].description


# R184
def test_fused_layers_stand_for_the_seven_usual_names(tmp_path: Path) -> None:
    phi3 = empty_model(open_base_model(make_tiny_phi3(tmp_path, seed=1)))

    resolved = with_fused_names(phi3, LoraSpec(target_modules=SEVEN))

    assert match_targets(phi3, resolved.lora) == {"o_proj": 2, "down_proj": 2, "qkv_proj": 2, "gate_up_proj": 2}
    assert [notice.partition(" are one layer")[0] for notice in resolved.notices] == [
        "q_proj, k_proj, v_proj",
        "gate_proj, up_proj",
    ]


def test_a_part_of_a_fused_layer_is_refused_with_the_way_out(tmp_path: Path) -> None:
    phi3 = empty_model(open_base_model(make_tiny_phi3(tmp_path, seed=1)))

    with pytest.raises(
        InvalidInput, match="q_proj and k_proj and v_proj are fused there: name all of them, or qkv_proj"
    ):
        match_targets(phi3, with_fused_names(phi3, LoraSpec(target_modules=("q_proj", "v_proj"))).lora)


@pytest.mark.parametrize(("bias", "trained"), [(LoraBias.NONE, 0), (LoraBias.LORA_ONLY, 2), (LoraBias.ALL, 6)])
def test_biases_train_along_when_asked(tmp_path: Path, bias: LoraBias, trained: int) -> None:
    base = open_base_model(make_tiny_family("qwen2", tmp_path))
    lora = LoraSpec(rank=4, target_modules=("q_proj",), bias=bias)
    loaded = load_base_model(base, Precision.BF16, CPU)
    parameters = trainable_parameters(attach_lora(loaded, lora, match_targets(empty_model(base), lora), 1, ""))

    # Two layers; q, k and v have a bias in each.
    assert sum(name.endswith("bias") for name, _ in parameters) == trained
    assert {parameter.dtype for _, parameter in parameters} == {torch.float32}


def test_weights_in_several_files_are_one_model(tmp_path: Path) -> None:
    whole = open_base_model(make_tiny_llama(tmp_path / "whole", seed=1))
    model = load_base_model(whole, Precision.FP32, CPU)
    model.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    whole.tokenizer.save_pretrained(tmp_path / "parts")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1

    parts = load_base_model(open_base_model(tmp_path / "parts"), Precision.FP32, CPU)

    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), parts.parameters(), strict=True))


def test_noise_on_embeddings_has_the_asked_reach_and_is_for_training_only(tmp_path: Path) -> None:
    model = load_base_model(open_base_model(make_tiny_llama(tmp_path, seed=1)), Precision.FP32, CPU)
    tokens = torch.arange(16)[None]
    embedding = model.get_input_embeddings()
    clean = embedding(tokens)
    add_embedding_noise(model, alpha=5)

    noise = model.train().get_input_embeddings()(tokens) - clean

    reach = 5 / (16 * 64) ** 0.5
    assert 0.9 * reach < float(noise.abs().max()) <= reach * 1.001
    assert torch.equal(model.eval().get_input_embeddings()(tokens), clean)


def test_only_the_adapter_trains_and_starts_as_no_change(tmp_path: Path) -> None:
    base = open_base_model(make_tiny_llama(tmp_path, seed=1))
    lora = LoraSpec(rank=4, target_modules=("q_proj",))
    model = attach_lora(load_base_model(base, Precision.FP32, CPU), lora, match_targets(empty_model(base), lora), 1, "")

    parameters = dict(trainable_parameters(model))

    # Two layers, each 4 x 64 down and 64 x 4 up.
    assert sum(parameter.numel() for parameter in parameters.values()) == 2 * 2 * 4 * 64
    assert all((parameter == 0).all() for name, parameter in parameters.items() if "lora_B" in name)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", r"no \*.safetensors"),
        ("chat_template.jinja", "no chat template"),
    ],
)
def test_an_incomplete_base_model_says_what_it_lacks(tmp_path: Path, missing: str, message: str) -> None:
    make_tiny_llama(tmp_path, seed=1)
    (tmp_path / missing).unlink()

    with pytest.raises(InvalidInput, match=message):
        open_base_model(tmp_path)


def test_damaged_weights_are_told_apart_from_a_wrong_request(tmp_path: Path) -> None:
    weights = make_tiny_llama(tmp_path, seed=1) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    with pytest.raises(Corrupted, match="damaged"):
        load_base_model(open_base_model(tmp_path), Precision.FP32, CPU)


def test_weights_that_are_not_in_the_files_are_never_made_up(tmp_path: Path) -> None:
    weights = make_tiny_llama(tmp_path, seed=1) / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})

    with pytest.raises(InvalidInput, match=r"lacks 1 of its weights, such as model\.layers\.1\.mlp"):
        load_base_model(open_base_model(tmp_path), Precision.FP32, CPU)


def test_a_longer_limit_than_the_base_can_read_is_the_base_s(tmp_path: Path) -> None:
    chat = open_base_model(make_tiny_llama(tmp_path, seed=1)).chat_format(max_length=2048)

    assert (chat.max_length, chat.limit_name) == (512, "the base model's max_position_embeddings")


def test_a_small_base_stays_in_fp32_on_a_cpu_unless_asked(tmp_path: Path) -> None:
    base = make_tiny_llama(tmp_path, seed=1)

    assert choose_precision(Precision.AUTO, CPU, base) is Precision.FP32
    assert choose_precision(Precision.BF16, CPU, base) is Precision.BF16
