"""Names every entry of llama.cpp's file that ours does not have alike: `compare_entries.py OURS THEIRS`. Prints how many.

What ours has besides is not counted: that nothing is added to prompts, sizes that llama.cpp would derive by itself.
"""

from __future__ import annotations

import sys
from typing import Any

import gguf

OF_THE_EXPORT = ("GGUF.", "general.name", "general.size_label", "tokenizer.chat_template")
"""Entries that an export writes beside the model and its tokens."""

UNKNOWN_TOKEN = 0


def entries_of(file: str) -> dict[str, Any]:
    fields = gguf.GGUFReader(file).fields
    return {name: f.contents() for name, f in fields.items() if not name.startswith(OF_THE_EXPORT)}


def alike(name: str, ours: Any, theirs: Any) -> bool:
    if name in ("tokenizer.ggml.token_type", "tokenizer.ggml.scores"):
        # The unknown token, as a special one, loses its type and score there; no text becomes it in either file.
        return [*ours][UNKNOWN_TOKEN + 1 :] == [*theirs][UNKNOWN_TOKEN + 1 :]
    return bool(ours == theirs)


if __name__ == "__main__":
    ours, theirs = entries_of(sys.argv[1]), entries_of(sys.argv[2])
    different = [name for name in theirs if name not in ours or not alike(name, ours[name], theirs[name])]
    for name in different:
        print(name)
    print(len(different))
