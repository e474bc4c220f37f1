"""Base models on their way in leave nothing on the disk of the service, whoever was killed before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import InvalidInput
from fragua_trainer.adapters.registry import Registry
from fragua_trainer.adapters.tables import metadata
from fragua_trainer.base_models import BaseModels, FileAnnounced, _check_folder

RECEIVE_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from fragua_trainer.base_models import BaseModels, FileAnnounced

async def cut_off():
    yield FileAnnounced("model.safetensors", 8, "0" * 64)
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)

models = BaseModels(None, None, None, Path(sys.argv[1]), 100)
asyncio.run(models.receive("tiny", cut_off()))
"""


async def test_what_a_killed_upload_left_goes_when_the_next_one_comes(tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    _receive_and_die(uploads)
    assert list(uploads.glob("*/model.safetensors"))
    database = Database(f"sqlite:///{tmp_path / 'trainer.db'}")
    metadata.create_all(database.engine)
    models = BaseModels(database, Registry(), LocalArtifactStore(tmp_path / "artifacts"), uploads, 100)

    with pytest.raises(InvalidInput):
        await models.receive("tiny", _too_short())

    assert list(uploads.iterdir()) == []
    await database.close()


def _receive_and_die(uploads: Path) -> None:
    died = subprocess.run([sys.executable, "-c", RECEIVE_AND_DIE, str(uploads)], env=os.environ, check=False)
    assert died.returncode == -signal.SIGKILL


async def _too_short() -> AsyncIterator[FileAnnounced | bytes]:
    yield FileAnnounced("config.json", 8, "0" * 64)
    yield b"{}"


@pytest.mark.parametrize("configuration", ["[]", "{", "[" * 100_000, '{"architectures": []}'])
def test_a_configuration_that_names_no_model_is_told(configuration: str, tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text(configuration, "utf-8")
    with pytest.raises(InvalidInput) as refused:
        _check_folder(tmp_path)
    assert [violation.description for violation in refused.value.violations] == [
        "config.json is not a model configuration: it names no model_type"
    ]
