"""When Liger's kernels are asked for, and without its loss. Whether they are right is Liger's to prove, on a GPU."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
import torch

from fragua_trainer.training.gpu_kernels import use_gpu_kernels


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []
    package, transformers = ModuleType("liger_kernel"), ModuleType("liger_kernel.transformers")
    package.__spec__ = ModuleSpec("liger_kernel", None)
    vars(transformers)["_apply_liger_kernel_to_instance"] = lambda **options: asked.append(options)
    monkeypatch.setitem(sys.modules, "liger_kernel", package)
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", transformers)
    return asked


def test_a_gpu_gets_the_kernels_but_not_the_loss(asked: list[dict[str, Any]]) -> None:
    model: Any = object()

    use_gpu_kernels(model, torch.device("cuda", 0))

    assert asked == [{"model": model, "cross_entropy": False, "fused_linear_cross_entropy": False}]


def test_a_cpu_stays_as_it_is(asked: list[dict[str, Any]]) -> None:
    model: Any = object()

    use_gpu_kernels(model, torch.device("cpu"))

    assert asked == []
