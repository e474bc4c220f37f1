"""Which code made an adapter: versions of the libraries that decide its numbers, and the commit of this repository."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMMIT_VARIABLE = "FRAGUA_COMMIT"
"""Set when an image is built: no repository goes into it."""
CHECKOUT = Path(__file__).resolve().parents[5]
UNKNOWN = "unknown"
LIBRARIES = (
    "fragua-trainer", "torch", "transformers", "peft", "bitsandbytes", "safetensors", "tokenizers", "numpy", "liger-kernel",
)  # fmt: skip


def repository_commit() -> str:
    """The full hash; ends in `-dirty` for a checkout with changes that are not committed."""
    if told := os.environ.get(COMMIT_VARIABLE):
        return told
    if not (CHECKOUT / ".git").exists():
        return UNKNOWN
    describe = ("git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        described = subprocess.run(describe, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN  # no git here, or a repository of somebody else
    return described.stdout.strip()


def library_versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
