"""Holds the frozen base in fewer bits, and finds out by trying whether this machine can train on it.

Whether bitsandbytes works depends on the machine, its build and its version, and a build that runs may still compute
wrong gradients. So a small layer is trained for one step first, and its gradient is compared with the exact one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from fragua_platform.errors import InvalidInput, Violation
from fragua_trainer.domain.training_spec import Precision, Quantization, Substitution

QUANTIZED = (Quantization.BNB4, Quantization.INT8)

_PROBE_WIDTH = 256
_ENOUGH_AGREEMENT = 0.98
"""Cosine between the probe's gradients and those of exact weights; a broken build gives near 0."""


@dataclass(frozen=True)
class ChosenQuantization:
    quantization: Quantization
    """BNB4, INT8, or AUTO for a base that is not quantized."""
    notice: str = ""
    """What was put in place of what was asked, and why; empty when nothing was."""


def choose_quantization(
    asked: Quantization, substitution: Substitution, device: torch.device, dora: bool = False
) -> ChosenQuantization:
    """What was asked where it works; else the nearest that does, or `InvalidInput`, as `substitution` says."""
    if asked not in QUANTIZED:
        return ChosenQuantization(Quantization.AUTO)
    reasons: dict[Quantization, str] = {}
    for candidate in QUANTIZED[QUANTIZED.index(asked) :]:
        reason = _no_dora(candidate, dora) or why_impossible(candidate, device)
        if not reason:
            notice = _notice(asked, candidate.value, reasons) if candidate is not asked else ""
            return ChosenQuantization(candidate, notice)
        reasons[candidate] = reason
        if substitution is Substitution.REFUSE:
            problem = (
                f"{asked.value} is impossible here: {reason}; take quantization: auto, "
                "or substitution: allow for the nearest that works"
            )
            raise InvalidInput(problem, violations=[Violation("quantization", problem)], reason="NOT_SUPPORTED_HERE")
    return ChosenQuantization(Quantization.AUTO, _notice(asked, "an unquantized base", reasons))


def _notice(asked: Quantization, taken: str, reasons: dict[Quantization, str]) -> str:
    return f"quantization {asked.value} was replaced by {taken}: " + "; ".join(
        f"{name.value}: {reason}" for name, reason in reasons.items()
    )


def why_impossible(quantization: Quantization, device: torch.device) -> str:
    """Why no adapter can be trained on a base quantized like this on this machine; empty when it can."""
    try:
        agreement = _probe(quantization, device)
    except ImportError as missing:
        return f"bitsandbytes cannot be imported ({missing})"
    except Exception as broken:  # Whatever a native library raises for a machine that it was not built for.
        return f"bitsandbytes fails on this {device.type} ({type(broken).__name__}: {broken})"
    if not agreement >= _ENOUGH_AGREEMENT:  # also when it is not a number
        return f"bitsandbytes computes wrong gradients on this {device.type} (cosine {agreement:.3f} with exact ones)"
    return ""


def _no_dora(quantization: Quantization, dora: bool) -> str:
    # PEFT 0.21 reads the weights for DoRA in a way that leaves bitsandbytes' 8-bit layers without their scales.
    return "DoRA cannot train on it" if dora and quantization is Quantization.INT8 else ""


def quantization_config(quantization: Quantization, precision: Precision) -> BitsAndBytesConfig | None:
    """What `from_pretrained` takes to load a base like this."""
    match quantization:
        case Quantization.BNB4:
            return BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16 if precision is Precision.BF16 else torch.float32,
            )
        case Quantization.INT8:
            return BitsAndBytesConfig(load_in_8bit=True)
        case _:
            return None


def keep_trainable(model: nn.Module) -> None:
    """Keep evaluation from ruining the training after it; call before the first forward pass.

    On CPUs with AVX512-BF16 bitsandbytes 0.50 repacks a 4-bit weight for inference at its first forward pass in eval
    mode, and goes on to use it in training, where gradients then come out wrong without a word.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def _probe(quantization: Quantization, device: torch.device) -> float:
    """Cosine between the input gradients of a quantized layer and of its original, after a pass in eval mode."""
    from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt

    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(_PROBE_WIDTH, _PROBE_WIDTH, generator=generator) / math.sqrt(_PROBE_WIDTH)
    layer: nn.Module
    if quantization is Quantization.BNB4:
        layer = Linear4bit(_PROBE_WIDTH, _PROBE_WIDTH, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    else:
        layer = Linear8bitLt(_PROBE_WIDTH, _PROBE_WIDTH, bias=False, has_fp16_weights=False, threshold=6.0)
    layer.load_state_dict({"weight": exact}, strict=False)
    layer = layer.to(device)
    keep_trainable(layer)
    rows = torch.randn(8, _PROBE_WIDTH, generator=generator).to(device)
    with torch.no_grad():
        layer.eval()(rows)
    rows.requires_grad_()
    direction = torch.randn(8, _PROBE_WIDTH, generator=generator).to(device)
    # A broken build may give no gradient at all: that counts as zero.
    (gradient,) = torch.autograd.grad((layer.train()(rows) * direction).sum(), rows, materialize_grads=True)
    expected = direction @ exact.to(device)
    return float(nn.functional.cosine_similarity(gradient.flatten(), expected.flatten(), dim=0))
