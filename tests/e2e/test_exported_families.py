"""One whole export of each family: its architecture, its kind of tokenizer and its published chat template together."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from fragua_exporter.conversion.export import export
from fragua_platform.jobs.engine import JobDirectory, Reporter
from tests.tiny_families import make_tiny_family
from tests.tiny_tokenizers import Style, make_byte_level_tokenizer, make_sentencepiece_tokenizer
from tests.unit.fragua_exporter.adapters import ALL_PROJECTIONS, make_adapter
from tests.unit.fragua_exporter.chat_templates import PUBLISHED
from tests.unit.fragua_exporter.test_architectures import FUSED_PROJECTIONS


def sentencepiece(style: Style, template: str, *turns: str) -> PreTrainedTokenizerFast:
    return make_sentencepiece_tokenizer(style, PUBLISHED[template].jinja, turns)


def byte_level(splitter: str, template: str, *turns: str) -> PreTrainedTokenizerFast:
    tokenizer = make_byte_level_tokenizer(splitter)
    tokenizer.add_tokens([*turns], special_tokens=True)
    tokenizer.chat_template = PUBLISHED[template].jinja
    return tokenizer


FAMILIES = {
    "llama": byte_level("llama-bpe", "llama 3.2", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "mistral": sentencepiece("metaspace", "mistral 0.3", "[INST]", "[/INST]", "</s>"),
    "qwen2": byte_level("qwen2", "qwen 2.5"),
    "qwen3": byte_level("qwen2", "qwen 3"),
    "phi3": sentencepiece("phi3", "phi-3.5"),
    "gemma2": sentencepiece("gemma", "gemma 2", "<start_of_turn>", "<end_of_turn>"),
    "gemma3": sentencepiece("gemma", "gemma 3", "<start_of_turn>", "<end_of_turn>"),
}


# R153, R158, R191
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_exported_and_proven(family: str, tmp_path: Path) -> None:
    job = JobDirectory(tmp_path)
    base = make_tiny_family(family, job.inputs / "base", tokenizer=FAMILIES[family])
    targets = FUSED_PROJECTIONS if family == "phi3" else ALL_PROJECTIONS
    make_adapter(base, job.inputs / "adapter", target_modules=targets)
    spec = {"model_name": "tutor", "quantizations": ["f16"], "probe_prompt": "¿Qué es?", "probe_max_tokens": 1}
    (tmp_path / "spec.json").write_text(json.dumps(spec), "utf-8")
    export(job, Reporter(io.StringIO()))
    [file] = json.loads((job.outputs / "export_info.json").read_text("utf-8"))["files"]
    assert file["verification"]["tokens"]["differing_texts"] == []
    assert file["verification"]["logits"]["max_kl"] < 1e-3
