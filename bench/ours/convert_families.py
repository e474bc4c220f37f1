"""Makes a tiny model of every architecture below DIRECTORY and converts it: `convert_families.py DIRECTORY`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

# The models are those of the tests, which are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.tiny_families import FAMILIES, make_tiny_family
from tests.tiny_tokenizers import Style, make_sentencepiece_tokenizer, write_sentencepiece_model
from tests.unit.fragua_exporter.conversions import convert


def style_of(family: str) -> Style:
    return "gemma" if family.startswith("gemma") else "phi3" if family.startswith("phi3") else "llama"


def write_added_tokens(base: Path) -> None:
    """As transformers 4, which the peer runs on, keeps them."""
    file = base / "tokenizer_config.json"
    added = json.loads((base / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    decoder = {str(token["id"]): {name: token[name] for name in ("content", "special", "rstrip")} for token in added}
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"added_tokens_decoder": decoder}), "utf-8")


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    for family in FAMILIES:
        base = make_tiny_family(family, directory / family, tokenizer=make_sentencepiece_tokenizer(style_of(family)))
        write_sentencepiece_model(base / "tokenizer.model")
        write_added_tokens(base)
        convert(base, directory / f"{family}.gguf")
    print(len(FAMILIES))
