"""The card of a folder for `datasets.load_dataset`: it says which file is which split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

_COLUMNS = """\
| column | what it holds |
| --- | --- |
| `id` | hash of the messages |
| `origin` | id of the row in the first version of its line, where that is another one |
| `messages` | list of `role` (system, user, assistant) and `content` |
| `choices`, `answer` | of a question with choices: their texts, and the index of the right one |
| `record` | of a requirement record: its fields as they were given, in JSON |
| `metadata` | everything else that was said of the row, in JSON |
"""


def write_card(target: Path, version: str, files: Mapping[str, str], rows: Mapping[str, int]) -> None:
    """`files` and `rows` by split."""
    _, branch, _, dataset, _, number = version.split("/")
    front = {
        "pretty_name": f"{dataset} {number}",
        "configs": [
            {"config_name": "default", "data_files": [{"split": side, "path": path} for side, path in files.items()]}
        ],
    }
    counts = "".join(f"- {side}: {rows[side]} rows\n" for side in files)
    target.write_text(
        f"---\n{yaml.safe_dump(front, allow_unicode=True, sort_keys=False)}---\n\n"
        f"# {dataset} {number}\n\n"
        f"Version `{version}` of the branch {branch}, written by Fragua.\n\n{counts}\n{_COLUMNS}",
        "utf-8",
    )
