"""A GGUF file that is imported as a base comes out as one that can be trained, with a warning of what that means."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fragua.trainer.v1 import trainer_service_pb2
from fragua_platform.errors import InvalidInput
from tests.integration.training_site import TrainingSite, training_site
from tests.tiny_models import CHATML_TEMPLATE, make_tiny_llama
from tests.unit.fragua_trainer.gguf_files import write_gguf


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[TrainingSite]:
    async with training_site(tmp_path, make_tiny_llama(tmp_path / "base", seed=3)) as site:
        yield site


# R1
async def test_an_uploaded_gguf_file_becomes_a_base_that_warns_of_its_origin(
    site: TrainingSite, tmp_path: Path
) -> None:
    file = write_gguf(tmp_path / "base", tmp_path / "tutor-q8_0.gguf", CHATML_TEMPLATE)

    model = await site.stub.ImportBaseModel(_upload(file.name, file.read_bytes()))

    assert (model.architecture, model.source) == ("llama", "gguf:tutor-q8_0.gguf")
    (warning,) = model.warnings
    assert "dequantized from tutor-q8_0.gguf" in warning
    stored = {path.name for path in _files_of(site, model.bundle.prefix)}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= stored
    # Whoever trains on it hears of it.
    assert (await site.order(base_model=model.name)).notices == [warning]


async def test_a_file_that_is_none_is_refused(site: TrainingSite, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF, perhaps")

    with pytest.raises(InvalidInput, match=r"model\.gguf cannot be read"):
        await site.stub.ImportBaseModel(_upload(file.name, file.read_bytes()))


def _files_of(site: TrainingSite, prefix: str) -> list[Path]:
    return [path for path in (Path(site.settings.data_dir) / "artifacts" / prefix).rglob("*") if path.is_file()]


async def _upload(name: str, content: bytes) -> AsyncIterator[trainer_service_pb2.ImportBaseModelRequest]:
    yield trainer_service_pb2.ImportBaseModelRequest(
        header=trainer_service_pb2.ImportBaseModelHeader(model_id="tutor-gguf")
    )
    yield trainer_service_pb2.ImportBaseModelRequest(
        file=trainer_service_pb2.BaseModelFile(
            path=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
    )
    for start in range(0, len(content), 1 << 20):
        yield trainer_service_pb2.ImportBaseModelRequest(chunk=content[start : start + (1 << 20)])
