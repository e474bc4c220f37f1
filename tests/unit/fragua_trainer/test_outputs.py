"""What a run leaves beside its weights."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoTokenizer

from fragua_trainer.training.outputs import special_tokens_map
from tests.tiny_models import make_tiny_tokenizer

ROLES = ("bos_token", "eos_token", "pad_token", "extra_special_tokens")


# R115
def test_the_map_alone_tells_a_tokenizer_its_special_tokens(tmp_path: Path) -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    for role in ROLES:
        config.pop(role)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")

    described = special_tokens_map(tokenizer)
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(described), "utf-8")
    read = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)

    assert read.special_tokens_map == tokenizer.special_tokens_map
    assert read.all_special_tokens == tokenizer.all_special_tokens
    assert described["eos_token"]["content"] == "<|im_end|>"
    assert described["additional_special_tokens"] == ["<|im_start|>"]
