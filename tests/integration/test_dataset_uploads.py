"""Files on their way in: streams that break and go on, and objects that are in the store already."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.application.upload_parts import PART_BYTES
from fragua_platform.errors import FailedPrecondition, InvalidInput, NotFound
from tests.dataset_client import DatasetClient, jsonl, new_request_id, state_of
from tests.embedded import EmbeddedSuite

CHUNK = 2**19


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture
async def client(suite: EmbeddedSuite) -> AsyncIterator[DatasetClient]:
    client = DatasetClient(suite.endpoint("dataset"), suite.data_dir / "artifacts", "subida")
    await client.create_branch()
    yield client
    await client.close()


def rows_of(size: int, seed: int) -> bytes:
    """About so many bytes that nobody sent before."""
    chance = random.Random(seed)
    rows = []
    while size > 0:
        text = " ".join(f"palabra{chance.randrange(10**6)}" for _ in range(60))
        rows.append({"instruction": f"¿Qué dice el ñandú {chance.randrange(10**9)}?", "output": text})
        size -= len(text) + 80
    return jsonl(rows)


class Upload:
    """One file on its way, in as many streams as it takes."""

    def __init__(self, client: DatasetClient, content: bytes, dataset: str = "pesada") -> None:
        self.content = content
        self._client = client
        self.header = dataset_service_pb2.ImportDatasetHeader(
            parent=f"{client.branch}/datasets/{dataset}",
            request_id=new_request_id(),
            filename="pesada.jsonl",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            resumable=True,
        )

    async def kept(self) -> int:
        request = dataset_service_pb2.GetUploadRequest(parent=self.header.parent, request_id=self.header.request_id)
        return (await self._client.stub.GetUpload(request)).received_bytes

    async def send(self, offset: int = 0) -> dataset_pb2.DatasetVersion:
        return await self._client.stub.ImportDataset(self._messages(offset, len(self.content)))

    async def send_short(self, end: int, offset: int = 0) -> dataset_pb2.DatasetVersion:
        """The stream ends in good order, but too early."""
        return await self._client.stub.ImportDataset(self._messages(offset, end))

    async def break_at(self, end: int, offset: int = 0) -> None:
        """The client vanishes once all of this was sent."""
        sent = asyncio.Event()

        async def messages() -> AsyncIterator[dataset_service_pb2.ImportDatasetRequest]:
            async for message in self._messages(offset, end):
                yield message
            sent.set()
            await asyncio.sleep(60)

        async def stream() -> Any:
            return await self._client.stub.ImportDataset(messages())

        call = asyncio.create_task(stream())
        await asyncio.wait_for(sent.wait(), 30)
        await asyncio.sleep(0.3)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    async def _messages(self, offset: int, end: int) -> AsyncIterator[dataset_service_pb2.ImportDatasetRequest]:
        self.header.offset = offset
        yield dataset_service_pb2.ImportDatasetRequest(header=self.header)
        for begin in range(offset, end, CHUNK):
            yield dataset_service_pb2.ImportDatasetRequest(chunk=self.content[begin : min(begin + CHUNK, end)])


async def eventually(check: Any) -> Any:
    for _ in range(100):
        try:
            return await check()
        except NotFound:
            await asyncio.sleep(0.1)
    return await check()


async def nothing_left(suite: EmbeddedSuite) -> bool:
    for _ in range(100):
        if not suite.files("uploads") and not suite.files("artifacts/partial-uploads"):
            return True
        await asyncio.sleep(0.1)
    return False


def violated(refused: Any) -> list[str]:
    return [violation.field for violation in refused.value.violations]


# --- streams that break


async def test_a_stream_that_dies_at_99_percent_goes_on_where_it_stopped(
    suite: EmbeddedSuite, client: DatasetClient
) -> None:
    upload = Upload(client, rows_of(3_000_000, seed=1))
    most = len(upload.content) * 99 // 100

    await upload.break_at(most)

    assert await eventually(upload.kept) == most
    version = await client.made(upload.send(offset=most))
    assert version.source_sha256 == hashlib.sha256(upload.content).hexdigest()
    assert state_of(version) == "READY"
    assert await nothing_left(suite)
    with pytest.raises(NotFound, match="begin at 0"):
        await upload.kept()


async def test_an_upload_of_many_parts_survives_the_death_of_the_service(suite: EmbeddedSuite) -> None:
    client = DatasetClient(suite.endpoint("dataset"), suite.data_dir / "artifacts", "subida")
    await client.create_branch()
    upload = Upload(client, random.Random(2).randbytes(PART_BYTES * 2 + 3_000_000))
    end = PART_BYTES * 2 + 1_000_000
    sending = asyncio.create_task(upload.break_at(end))
    await asyncio.sleep(0.1)
    while len(suite.files("artifacts/partial-uploads")) < 2:
        await asyncio.sleep(0.05)
    suite.kill()
    sending.cancel()
    await asyncio.wait({sending})
    suite.start()

    kept = await eventually(upload.kept)

    assert PART_BYTES * 2 <= kept <= end
    await upload.break_at(kept + 100_000, offset=kept)
    # Nobody is held to the last byte that was kept.
    version = await upload.send(offset=PART_BYTES + 17)
    assert version.source_sha256 == hashlib.sha256(upload.content).hexdigest()
    assert await nothing_left(suite)
    await client.close()


async def test_a_stream_that_ends_too_early_is_told_where_to_go_on(client: DatasetClient) -> None:
    upload = Upload(client, rows_of(200_000, seed=3))
    with pytest.raises(FailedPrecondition, match="go on with offset 1000") as refused:
        await upload.send_short(1000)
    assert refused.value.reason == "UPLOAD_INCOMPLETE"
    assert await upload.kept() == 1000
    await upload.send(offset=1000)


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\datos\\ñandú.jsonl", "a\nb.jsonl"])
async def test_a_file_is_called_by_its_name_alone(client: DatasetClient, name: str) -> None:
    upload = Upload(client, rows_of(1000, seed=1), "camino")
    upload.header.filename = name
    with pytest.raises(InvalidInput, match=r"header\.filename"):
        await upload.send()
    with pytest.raises(NotFound):
        await upload.kept()


async def test_a_stream_that_is_not_resumable_leaves_nothing(suite: EmbeddedSuite, client: DatasetClient) -> None:
    assert await nothing_left(suite)
    upload = Upload(client, rows_of(3_000_000, seed=4))
    upload.header.resumable = False
    await upload.break_at(len(upload.content) * 99 // 100)
    assert await nothing_left(suite)
    with pytest.raises(NotFound):
        await upload.kept()


async def test_bytes_that_are_not_the_announced_ones_are_not_kept(suite: EmbeddedSuite, client: DatasetClient) -> None:
    upload = Upload(client, rows_of(100_000, seed=5))
    with pytest.raises(FailedPrecondition):
        await upload.send_short(1000)
    upload.content = upload.content[:-2] + b"!\n"
    with pytest.raises(InvalidInput) as refused:
        await upload.send(offset=1000)
    assert violated(refused) == ["header.sha256"]
    with pytest.raises(NotFound):
        await upload.kept()
    assert await nothing_left(suite)


async def test_to_begin_anew_forgets_what_was_kept(client: DatasetClient) -> None:
    upload = Upload(client, rows_of(100_000, seed=6))
    with pytest.raises(FailedPrecondition):
        await upload.send_short(5000)
    with pytest.raises(FailedPrecondition):
        await upload.send_short(1000)
    assert await upload.kept() == 1000


async def test_an_offset_behind_what_is_kept_is_refused(client: DatasetClient) -> None:
    upload = Upload(client, rows_of(100_000, seed=7))
    with pytest.raises(FailedPrecondition, match="0 bytes are kept") as nothing:
        await upload.send(offset=10)
    assert nothing.value.reason == "UPLOAD_OFFSET"
    with pytest.raises(FailedPrecondition):
        await upload.send_short(1000)
    with pytest.raises(FailedPrecondition, match="1000 bytes are kept") as refused:
        await upload.send(offset=1001)
    assert violated(refused) == ["header.offset"]


async def test_what_a_resumable_stream_needs_is_named_together(client: DatasetClient) -> None:
    upload = Upload(client, b"{}\n")
    upload.header.sha256 = ""
    with pytest.raises(InvalidInput) as refused:
        await upload.send(offset=4)
    assert violated(refused) == ["header.resumable", "header.offset"]
    upload.header.resumable = False
    with pytest.raises(InvalidInput) as refused:
        await upload.send(offset=1)
    assert violated(refused) == ["header.offset"]


async def test_more_bytes_than_announced_are_refused_at_once(client: DatasetClient) -> None:
    upload = Upload(client, rows_of(100_000, seed=8))
    upload.header.size_bytes = 50_000
    with pytest.raises(InvalidInput) as refused:
        await upload.send()
    assert violated(refused) == ["header.size_bytes"]


# --- objects of the store


def object_request(client: DatasetClient, uri: str, **given: Any) -> dataset_service_pb2.ImportDatasetObjectRequest:
    return dataset_service_pb2.ImportDatasetObjectRequest(
        parent=f"{client.branch}/datasets/objeto", request_id=new_request_id(), object_uri=uri, **given
    )


async def test_an_object_of_the_store_is_imported(suite: EmbeddedSuite, client: DatasetClient) -> None:
    content = rows_of(10_000, seed=9)
    place = suite.data_dir / "artifacts" / "incoming" / "añadido.jsonl"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    request = object_request(client, "incoming/añadido.jsonl", sha256=digest)

    version = await client.made(client.stub.ImportDatasetObject(request))

    assert state_of(version) == "READY"
    assert (version.source_filename, version.source_sha256) == ("añadido.jsonl", digest)
    assert (await client.stub.ImportDatasetObject(request)).name == version.name
    other = object_request(client, "incoming/añadido.jsonl", sha256="0" * 64)
    with pytest.raises(InvalidInput) as refused:
        await client.stub.ImportDatasetObject(other)
    assert violated(refused) == ["sha256"]


@pytest.mark.parametrize(
    "uri",
    [
        "incoming/../uploads/x",
        "/etc/passwd",
        "incoming",
        "incomingx/file",
        "datasets/subida/pesada/x/train.jsonl",
        "s3://other-bucket/incoming/x",
        "https://example.org/x.jsonl",
        "file:///etc/passwd",
    ],
)
async def test_an_object_from_elsewhere_is_refused(client: DatasetClient, uri: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await client.stub.ImportDatasetObject(object_request(client, uri))
    assert violated(refused) == ["object_uri"]


async def test_an_object_that_is_not_there_is_not_found(client: DatasetClient) -> None:
    with pytest.raises(NotFound, match="incoming/nada"):
        await client.stub.ImportDatasetObject(object_request(client, "incoming/nada"))
