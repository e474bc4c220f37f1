"""Bases in 4 and 8 bits train as exact ones do, also after an evaluation; what a machine cannot do is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit
from peft import PeftModel
from peft.utils.integrations import dequantize_module_weight
from torch import nn

from fragua_platform.errors import FailureClass, InvalidInput
from fragua_trainer.domain.training_spec import LoraSpec, Precision, Quantization, Substitution
from fragua_trainer.training import quantization
from fragua_trainer.training.adapter import attach_lora, match_targets, trainable_parameters
from fragua_trainer.training.base_model import empty_model, load_base_model, open_base_model
from fragua_trainer.training.quantization import choose_quantization, why_impossible
from tests.tiny_families import FAMILIES, make_tiny_family
from tests.tiny_models import make_tiny_llama

CPU = torch.device("cpu")
PLAIN_LORA = LoraSpec(rank=4, dropout=0)
TOKENS = torch.arange(5, 101)[None]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_tiny_llama(tmp_path / "base", seed=3, hidden=256)


# R105, R124
@pytest.mark.parametrize(("kind", "bytes_per_weight"), [(Quantization.BNB4, 0.5), (Quantization.INT8, 1)])
def test_a_quantized_base_is_as_small_as_it_says(base: Path, kind: Quantization, bytes_per_weight: float) -> None:
    model = load_base_model(open_base_model(base), Precision.FP32, CPU, kind)

    weight = model.get_submodule("model.layers.0.mlp.up_proj").weight
    assert isinstance(weight, torch.Tensor)
    assert weight.numel() * weight.element_size() == 256 * 512 * bytes_per_weight


@pytest.mark.parametrize("kind", [Quantization.BNB4, Quantization.INT8])
def test_an_evaluation_leaves_the_gradients_of_later_steps_as_they_were(base: Path, kind: Quantization) -> None:
    quantized = _adapted(base, kind)
    exact = _with_the_same_weights(_adapted(base, Quantization.AUTO), quantized)
    expected = _gradients(exact)

    before = _gradients(quantized)
    _evaluate(quantized)
    after = _gradients(quantized)

    assert _agreement(before, expected) > 0.99
    assert _agreement(after, expected) > 0.99


@pytest.mark.skipif(
    not torch.cpu.get_capabilities().get("avx512_bf16"), reason="only CPUs with AVX512-BF16 repack weights"
)
def test_without_the_pin_an_evaluation_would_ruin_them(base: Path) -> None:
    quantized = _adapted(base, Quantization.BNB4)
    expected = _gradients(quantized)
    for layer in quantized.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = True

    _evaluate(quantized)

    # When this fails, bitsandbytes has mended it, and `keep_trainable` can go.
    assert _agreement(_gradients(quantized), expected) < 0.9


def test_an_exact_base_needs_no_library() -> None:
    for asked in (Quantization.AUTO, Quantization.BF16, Quantization.FP32):
        assert choose_quantization(asked, Substitution.REFUSE, CPU).quantization is Quantization.AUTO


# R105, R106
def test_what_is_impossible_here_is_refused_with_the_way_out(impossible: Callable[..., None]) -> None:
    impossible(Quantization.BNB4)

    with pytest.raises(InvalidInput, match="take quantization: auto, or substitution: allow") as refused:
        choose_quantization(Quantization.BNB4, Substitution.REFUSE, CPU)

    assert refused.value.failure_class is FailureClass.USER_CONFIG
    assert [violation.field for violation in refused.value.violations] == ["quantization"]


def test_the_nearest_that_works_takes_its_place_where_that_is_allowed(impossible: Callable[..., None]) -> None:
    impossible(Quantization.BNB4)
    chosen = choose_quantization(Quantization.BNB4, Substitution.ALLOW, CPU)

    assert chosen.quantization is Quantization.INT8
    assert chosen.notice.startswith("quantization bnb4 was replaced by int8: bnb4: bitsandbytes")


def test_nothing_that_dora_cannot_train_on_takes_its_place(impossible: Callable[..., None]) -> None:
    impossible(Quantization.BNB4)
    chosen = choose_quantization(Quantization.BNB4, Substitution.ALLOW, CPU, dora=True)

    assert chosen.quantization is Quantization.AUTO
    assert "int8: DoRA cannot train on it" in chosen.notice


def test_no_quantization_is_the_last_resort(impossible: Callable[..., None]) -> None:
    impossible(Quantization.BNB4, Quantization.INT8)
    chosen = choose_quantization(Quantization.BNB4, Substitution.ALLOW, CPU)

    assert chosen.quantization is Quantization.AUTO
    assert "replaced by an unquantized base" in chosen.notice


def test_wrong_gradients_count_as_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cpu.get_capabilities().get("avx512_bf16"):
        pytest.skip("only CPUs with AVX512-BF16 repack weights")
    monkeypatch.setattr(quantization, "keep_trainable", lambda _layer: None)

    assert "wrong gradients" in why_impossible(Quantization.BNB4, CPU)


@pytest.fixture
def impossible(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes bitsandbytes behave as on a machine that it was not built for."""

    def fail_for(*kinds: Quantization) -> None:
        probe = quantization._probe

        def failing(kind: Quantization, device: torch.device) -> float:
            if kind in kinds:
                raise RuntimeError("no kernel")
            return probe(kind, device)

        monkeypatch.setattr(quantization, "_probe", failing)

    return fail_for


@pytest.mark.parametrize(
    ("family", "kind"),
    [(family, Quantization.AUTO) for family in FAMILIES]
    # Where layers are fused, and where the numbers are large.
    + [(family, Quantization.BNB4) for family in ("phi3", "gemma2")]
    + [("gemma2", Quantization.INT8)],
)
def test_every_architecture_learns(tmp_path: Path, family: str, kind: Quantization) -> None:
    lora = LoraSpec(rank=4, dropout=0, dora=kind is not Quantization.INT8, rslora=True)
    model = _adapted(make_tiny_family(family, tmp_path), kind, lora)
    optimizer = torch.optim.AdamW([parameter for _, parameter in trainable_parameters(model)], lr=5e-3)

    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(input_ids=TOKENS, labels=TOKENS).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0] - 0.1


def _adapted(base: Path, kind: Quantization, lora: LoraSpec = PLAIN_LORA) -> PeftModel:
    opened = open_base_model(base)
    model = load_base_model(opened, Precision.FP32, CPU, kind)
    adapted = attach_lora(model, lora, match_targets(empty_model(opened), lora), 1, "")
    generator = torch.Generator().manual_seed(2)
    for name, parameter in trainable_parameters(adapted):
        if "lora_B" in name:  # starts as zero, and then A has no gradient
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.02
    return adapted


@torch.no_grad()
def _with_the_same_weights(exact: PeftModel, quantized: PeftModel) -> PeftModel:
    """`exact` with the very weights that the blocks of `quantized` stand for."""
    layers = dict(quantized.named_modules())
    for name, layer in exact.named_modules():
        if name.endswith("base_layer") and isinstance(layer, nn.Linear):
            layer.weight.copy_(dequantize_module_weight(layers[name]))
    return exact


def _gradients(model: PeftModel) -> torch.Tensor:
    model.train()
    model.zero_grad()
    model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    gradients = [parameter.grad for _, parameter in trainable_parameters(model)]
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).clone()


@torch.no_grad()
def _evaluate(model: PeftModel) -> None:
    assert math.isfinite(model.eval()(input_ids=TOKENS, labels=TOKENS).loss)


def _agreement(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(nn.functional.cosine_similarity(one, other, dim=0))
