"""Matrix products by every library."""

import platform

import pytest
import torch

from fragua_trainer.training import products
from fragua_trainer.training.cross_entropy import ROWS_AT_ONCE, summed_cross_entropy
from fragua_trainer.training.products import Library, Products, faster_library


@pytest.mark.parametrize("library", Library)
def test_all_libraries_multiply_alike(library: Library) -> None:
    inputs, weight, bias = torch.randn(70, 48), torch.randn(96, 48), torch.randn(96)
    chosen = Products(library)

    torch.testing.assert_close(chosen.linear(inputs, weight, bias), inputs @ weight.T + bias, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(chosen.back(torch.ones(70, 96), weight), torch.ones(70, 96) @ weight)


def test_widened_weights_multiply_as_their_copy_in_fp32_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "WIDENED_NUMBERS", 7 * 48)  # so that 96 rows come in parts
    inputs, weight = torch.randn(70, 48), torch.randn(96, 48).bfloat16()
    bias, gradient = torch.randn(96).bfloat16(), torch.randn(70, 96)
    widened = Products(Library.WIDENED)

    torch.testing.assert_close(widened.linear(inputs, weight, bias), inputs @ weight.float().T + bias.float())
    torch.testing.assert_close(widened.back(gradient, weight), gradient @ weight.float())


def test_small_and_other_matrices_stay_with_torch_unmeasured() -> None:
    assert faster_library(torch.randn(64, 64)) is Library.TORCH
    assert faster_library(torch.randn(64, 64, dtype=torch.bfloat16)) is Library.TORCH
    assert faster_library(torch.zeros(512, 512, dtype=torch.uint8)) is Library.TORCH


@pytest.mark.skipif(
    any(torch.cpu.get_capabilities().get(name) for name in ("avx512_f", "amx_bf16")) or platform.machine() != "x86_64",
    reason="only x86 processors without AVX-512 are known to be slow at bf16",
)
def test_a_processor_that_is_slow_at_bf16_widens() -> None:
    assert faster_library(torch.randn(512, 2048).bfloat16()) is Library.WIDENED


@pytest.mark.parametrize("library", Library)
def test_chunked_cross_entropy_is_that_of_all_logits_at_once(library: Library) -> None:
    rows, vocabulary = 2 * ROWS_AT_ONCE + 5, 3000
    hidden, head = torch.randn(rows, 32, requires_grad=True), torch.randn(vocabulary, 32)
    targets = torch.randint(0, vocabulary, (rows,))

    expected = torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="sum")
    (expected_gradient,) = torch.autograd.grad(expected, hidden)
    loss = summed_cross_entropy(hidden, head, targets, Products(library))
    (gradient,) = torch.autograd.grad(loss / 3, hidden)

    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient * 3, expected_gradient, rtol=1e-3, atol=1e-3)


def test_a_hopeless_prediction_has_a_finite_loss() -> None:
    # Its probability is zero in fp32, whose logarithm would be minus infinity.
    hidden, head = torch.tensor([[1.0]]), torch.tensor([[0.0], [300.0]])

    assert summed_cross_entropy(hidden, head, torch.tensor([0]), Products()).item() == pytest.approx(300)
