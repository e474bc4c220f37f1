"""Matrix products by either library."""

import pytest
import torch

from fragua_trainer.training.cross_entropy import ROWS_AT_ONCE, summed_cross_entropy
from fragua_trainer.training.products import Library, Products, faster_library


@pytest.mark.parametrize("library", Library)
def test_both_libraries_multiply_alike(library: Library) -> None:
    inputs, weight, bias = torch.randn(70, 48), torch.randn(96, 48), torch.randn(96)
    products = Products(library)

    torch.testing.assert_close(products.linear(inputs, weight, bias), inputs @ weight.T + bias, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(products.back(torch.ones(70, 96), weight), torch.ones(70, 96) @ weight)


def test_small_and_bf16_matrices_stay_with_torch_unmeasured() -> None:
    assert faster_library(torch.randn(64, 64)) is Library.TORCH
    assert faster_library(torch.randn(512, 512, dtype=torch.bfloat16)) is Library.TORCH


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
