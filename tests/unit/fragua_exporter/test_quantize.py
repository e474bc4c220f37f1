"""llama.cpp's quantizer as a child process: what it writes, what it falls back to, and how it fails."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import save_file

from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.gguf_file import tensor_types
from fragua_exporter.conversion.merge import Adapter
from fragua_exporter.conversion.quantize import fallbacks, largest_size, quantize
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_exporter.conversion.writer import write_gguf_files
from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import InternalError, LimitExceeded
from tests.tiny_models import make_tiny_llama

UNCHANGED = Adapter(rank=1, scale=1.0, updates={})


def convert(base: Path, file: Path) -> ModelPlan:
    checkpoint = open_checkpoint(base)
    plan = plan_model(checkpoint)
    vocabulary = load_vocabulary(base, plan.vocabulary_size)
    write_gguf_files(
        {Quantization.F16: file}, plan, checkpoint, UNCHANGED, vocabulary, lambda writer: None, lambda done: None
    )
    return plan


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelPlan]:
    """A model whose rows fill blocks of 256, and so can be stored in K types."""
    folder = tmp_path_factory.mktemp("wide")
    file = folder / "wide-f16.gguf"
    return file, convert(make_tiny_llama(folder / "base", seed=3, hidden=256, strong=True), file)


def ignore(step: int, total: int, name: str) -> None:
    pass


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        (Quantization.Q6_K, {Type.Q6_K: 15}),
        (Quantization.Q5_K_M, {Type.Q5_K: 12, Type.Q6_K: 3}),
        (Quantization.Q4_K_M, {Type.Q4_K: 12, Type.Q6_K: 3}),
        (Quantization.Q4_0, {Type.Q4_0: 14, Type.Q6_K: 1}),
    ],
)
# R153
def test_matrices_are_stored_in_the_mixture_of_the_format(
    source: tuple[Path, ModelPlan], tmp_path: Path, quantization: Quantization, expected: dict[Type, int]
) -> None:
    file, plan = source
    target = tmp_path / "small.gguf"
    heard: list[tuple[int, int, str]] = []
    quantize(file, target, quantization, 1, lambda *tensor: heard.append(tensor))
    types = tensor_types(target)
    matrices = Counter(types[tensor.target] for tensor in plan.tensors if len(tensor.shape) == 2)
    assert matrices == expected
    assert [step for step, _, _ in heard] == list(range(1, len(plan.tensors) + 1))
    assert {name for _, _, name in heard} == {tensor.target for tensor in plan.tensors}
    assert fallbacks(target, plan, 256) == {}
    tensors = gguf.GGUFReader(target).tensors
    assert sum(tensor.n_bytes for tensor in tensors) <= largest_size(plan, quantization)


def test_threads_do_not_change_the_bytes(source: tuple[Path, ModelPlan], tmp_path: Path) -> None:
    one, two = tmp_path / "one.gguf", tmp_path / "two.gguf"
    quantize(source[0], one, Quantization.Q4_K_M, 1, ignore)
    quantize(source[0], two, Quantization.Q4_K_M, 2, ignore)
    assert one.read_bytes() == two.read_bytes()


def test_what_matters_most_is_kept_best(source: tuple[Path, ModelPlan], tmp_path: Path) -> None:
    file, plan = source
    importance = {
        tensor.target: torch.where(torch.arange(tensor.shape[1]) % 8 == 0, 100.0, 0.01)
        for tensor in plan.tensors
        if len(tensor.shape) == 2 and tensor.target != "token_embd.weight"
    }
    save_file(importance, tmp_path / "importance")
    errors = {}
    for name, weights in (("all alike", None), ("weighed", tmp_path / "importance")):
        quantize(file, tmp_path / name, Quantization.Q4_K_M, 1, ignore, weights)
        errors[name] = np.abs(values(tmp_path / name, "blk.0.ffn_up.weight") - values(file, "blk.0.ffn_up.weight"))
    assert errors["weighed"][:, ::8].mean() < 0.7 * errors["all alike"][:, ::8].mean()
    assert tensor_types(tmp_path / "weighed") == tensor_types(tmp_path / "all alike")


def values(file: Path, name: str) -> np.ndarray:
    (tensor,) = (tensor for tensor in gguf.GGUFReader(file).tensors if tensor.name == name)
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type)


def test_rows_that_do_not_fill_blocks_fall_back_and_are_named(base: Path, tmp_path: Path) -> None:
    plan = convert(base, tmp_path / "narrow.gguf")
    target = tmp_path / "small.gguf"
    quantize(tmp_path / "narrow.gguf", target, Quantization.Q4_K_M, 1, ignore)
    stored = fallbacks(target, plan, 256)
    assert len(stored) == sum(len(tensor.shape) == 2 for tensor in plan.tensors)
    assert stored["blk.0.attn_q.weight"] == "q5_0"
    assert stored["token_embd.weight"] == "q8_0"
    assert sum(tensor.n_bytes for tensor in gguf.GGUFReader(target).tensors) <= largest_size(plan, Quantization.Q4_K_M)


def test_a_damaged_source_is_told_in_llama_cpps_own_words(source: tuple[Path, ModelPlan], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(source[0].read_bytes()[:-5000])
    with pytest.raises(InternalError, match="is not within the file bounds") as failed:
        quantize(damaged, tmp_path / "small.gguf", Quantization.Q4_0, 1, ignore)
    assert failed.value.reason == "QUANTIZATION_FAILED"


def test_a_process_that_dies_is_told(source: tuple[Path, ModelPlan], tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="it ended with status"):
        quantize(source[0], tmp_path / "small.gguf", Quantization.F16, 1, ignore)


def test_who_listens_can_stop_it(source: tuple[Path, ModelPlan], tmp_path: Path) -> None:
    def stop(step: int, total: int, name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(source[0], tmp_path / "small.gguf", Quantization.Q4_K_M, 1, stop)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files may not grow beyond 300 kB."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, former[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, former)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_named(source: tuple[Path, ModelPlan], tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match=r"the disk filled up while small\.gguf was written") as failed:
        quantize(source[0], tmp_path / "small.gguf", Quantization.Q6_K, 1, ignore)
    assert failed.value.reason == "DISK_FULL"
