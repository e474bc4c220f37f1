"""Base models from a hub: fetched once at a pinned revision, on from where a fetch broke off, and nothing unsafe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fragua.trainer.v1 import trainer_service_pb2
from fragua_platform.errors import Corrupted, FraguaError, InvalidInput, NotFound, Unavailable
from tests.integration.hub_server import HUB_ID, REVISION, HubServer, hub_server
from tests.integration.training_site import TrainingSite, training_site
from tests.tiny_models import make_tiny_llama


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = make_tiny_llama(tmp_path / "model", seed=4)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "consolidated.safetensors").write_bytes(b"the same once more")
    return folder


@pytest.fixture
def hub(model: Path) -> Iterator[HubServer]:
    with hub_server(model) as hub:
        yield hub


@pytest.fixture
async def site(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TrainingSite]:
    monkeypatch.setenv("FRAGUA_HUB_ENDPOINT", hub.endpoint)
    async with training_site(tmp_path, hub.folder) as site:
        yield site


# R108
async def test_a_model_is_fetched_once_and_says_where_it_came_from(site: TrainingSite, hub: HubServer) -> None:
    answers = await _mirror(site)
    fetched = answers[-1].base_model
    asked = len(hub.asked)
    again = (await _mirror(site))[-1].base_model

    assert fetched.name.startswith("baseModels/tutor/revisions/")
    assert (fetched.architecture, fetched.source) == ("llama", f"hub:{HUB_ID}@{REVISION}")
    assert again == fetched
    assert len(hub.asked) == asked
    assert answers[-2].received_bytes == answers[-2].total_bytes > 0


async def test_neither_pickles_nor_second_copies_of_the_weights_are_fetched(site: TrainingSite, hub: HubServer) -> None:
    await _mirror(site)

    names = {name for name, _ in hub.asked}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert names.isdisjoint({"pytorch_model.bin", "consolidated.safetensors"})


async def test_a_fetch_that_broke_off_goes_on_where_it_was(site: TrainingSite, hub: HubServer) -> None:
    hub.broken = {"tokenizer.json"}
    with pytest.raises(Unavailable, match="ask again to go on"):
        await _mirror(site)
    # As a connection that dies in the midst of the weights leaves them.
    (weights,) = _fetched_weights(site)
    weights.write_bytes(weights.read_bytes()[:1000])
    hub.broken, hub.asked = set(), []

    await _mirror(site)

    assert ("model.safetensors", "bytes=1000-") in hub.asked
    assert "config.json" not in {name for name, _ in hub.asked}


# R109
async def test_a_gated_model_takes_a_token_by_the_name_of_its_variable(
    site: TrainingSite, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secreto"
    with pytest.raises(InvalidInput, match="is gated: accept its terms"):
        await _mirror(site)
    with pytest.raises(InvalidInput, match="FRAGUA_HUB_TOKEN is not set"):
        await _mirror(site, token_variable="FRAGUA_HUB_TOKEN")
    monkeypatch.setenv("FRAGUA_HUB_TOKEN", "hf_secreto")

    assert (await _mirror(site, token_variable="FRAGUA_HUB_TOKEN"))[-1].base_model.name


@pytest.mark.parametrize(
    ("hub_id", "revision", "error", "problem"),
    [
        ("nadie/nada", REVISION, NotFound, "nadie/nada does not exist"),
        (HUB_ID, "f" * 40, NotFound, "has no revision ffff"),
    ],
)
async def test_what_the_hub_does_not_have_is_named(
    site: TrainingSite, hub_id: str, revision: str, error: type[FraguaError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        await _mirror(site, hub_id=hub_id, revision=revision)


async def test_other_bytes_than_the_hub_announces_are_not_kept(site: TrainingSite, hub: HubServer) -> None:
    hub.lying = {"model.safetensors"}

    with pytest.raises(Corrupted, match="arrived with other bytes"):
        await _mirror(site)

    assert _fetched_weights(site) == []


async def test_a_model_without_safetensors_is_refused(site: TrainingSite, hub: HubServer) -> None:
    (hub.folder / "model.safetensors").unlink()
    (hub.folder / "consolidated.safetensors").unlink()

    with pytest.raises(InvalidInput, match=r"must be safetensors, and it has pytorch_model\.bin, which can hold code"):
        await _mirror(site)


def _fetched_weights(site: TrainingSite) -> list[Path]:
    return list(Path(site.settings.data_dir).glob("mirrored/*/model.safetensors"))


async def _mirror(site: TrainingSite, **fields: str) -> list[Any]:
    asked = {"model_id": "tutor", "hub_id": HUB_ID, "revision": REVISION} | fields
    request = trainer_service_pb2.MirrorBaseModelRequest(**asked)
    return [answer async for answer in site.stub.MirrorBaseModel(request)]
