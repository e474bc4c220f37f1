"""GGUF files become bases that can be trained: the same model, as far as its blocks tell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fragua_trainer.training.base_model import open_base_model
from tests.tiny_families import make_tiny_family
from tests.tiny_models import CHATML_TEMPLATE
from tests.unit.fragua_trainer.gguf_files import write_gguf

TOKENS = torch.arange(5, 60)[None]


# R1, R20
@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3"])
def test_a_q8_0_file_becomes_the_model_that_it_was_made_from(tmp_path: Path, family: str) -> None:
    original = make_tiny_family(family, tmp_path / "base")
    job = _job_with_gguf(original, tmp_path / "job", CHATML_TEMPLATE)

    assert _dequantize(job).returncode == 0

    expected, given = _logits(original), _logits(job / "outputs")
    assert float((expected - given).std() / expected.std()) < 0.05
    text = "¿Qué año, niño?"
    assert AutoTokenizer.from_pretrained(job / "outputs").encode(text) == _tokenizer(original).encode(text)
    opened = open_base_model(job / "outputs")  # safetensors, chat template and all
    assert opened.tokenizer.chat_template == CHATML_TEMPLATE


def test_a_file_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    job = _job_with_gguf(make_tiny_family("llama", tmp_path / "base"), tmp_path / "job", template="")

    refused = _dequantize(job)

    failure = json.loads(refused.stdout.splitlines()[-1])
    assert (failure["failure_class"], refused.returncode) == ("USER_CONFIG", 1)
    assert "holds no chat template" in failure["message"]


def test_an_architecture_that_does_not_come_back_right_is_refused(tmp_path: Path) -> None:
    job = _job_with_gguf(make_tiny_family("gemma2", tmp_path / "base"), tmp_path / "job", CHATML_TEMPLATE)

    failure = json.loads(_dequantize(job).stdout.splitlines()[-1])

    assert "architecture gemma2; proven to come back right from GGUF are llama" in failure["message"]


def test_positions_that_cannot_be_carried_over_are_refused(tmp_path: Path) -> None:
    base = make_tiny_family("phi3-longrope", tmp_path / "base")
    job = _job_with_gguf(base, tmp_path / "job", CHATML_TEMPLATE)

    failure = json.loads(_dequantize(job).stdout.splitlines()[-1])

    assert "stretches its positions by a table" in failure["message"]


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs/model.gguf").write_bytes(b"GGUF, perhaps")

    failure = json.loads(_dequantize(tmp_path).stdout.splitlines()[-1])

    assert failure["failure_class"] == "USER_CONFIG"
    assert "model.gguf cannot be read" in failure["message"]


def _job_with_gguf(base: Path, job: Path, template: str) -> Path:
    (job / "inputs").mkdir(parents=True)
    write_gguf(base, job / "inputs/model.gguf", template)
    return job


def _dequantize(job: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fragua_trainer.training.gguf", str(job)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _tokenizer(directory: Path) -> Any:
    return AutoTokenizer.from_pretrained(directory)


@torch.no_grad()
def _logits(directory: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    logits: torch.Tensor = model(TOKENS).logits
    return logits
