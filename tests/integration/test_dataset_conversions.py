"""Versions written for other programs, and their files handed out, over gRPC."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from fragua.common.v1 import job_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_platform.errors import Corrupted, FailedPrecondition, InvalidInput, NotFound
from tests.dataset_client import DatasetClient, state_of
from tests.embedded import EmbeddedSuite

ROWS = [
    {"instruction": f"¿Qué hace la cigüeña número {number}?", "output": f"Anida en la torre {number} hasta el otoño."}
    for number in range(20)
]
TURNS = [
    {"role": "user", "content": "¿Y el ñandú?"},
    {"role": "assistant", "content": "Corre por la pampa."},
    {"role": "user", "content": "¿Vuela?"},
    {"role": "assistant", "content": "No vuela: sus alas son cortas."},
]
CHAT, ALPACA = dataset_pb2.CONVERSION_FORMAT_CHAT_JSONL, dataset_pb2.CONVERSION_FORMAT_ALPACA
PARQUET, FOLDER = dataset_pb2.CONVERSION_FORMAT_PARQUET, dataset_pb2.CONVERSION_FORMAT_HF_FOLDER


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture
async def client(suite: EmbeddedSuite) -> AsyncIterator[DatasetClient]:
    client = DatasetClient(suite.endpoint("dataset"), suite.data_dir / "artifacts", "convertida")
    await client.create_branch()
    yield client
    await client.close()


async def storks(client: DatasetClient) -> dataset_pb2.DatasetVersion:
    """The same version for every test: it is imported once."""
    return await client.import_rows("ciguenas", ROWS, request_id="ciguenas")


async def ordered(client: DatasetClient, version: str, wanted: Any) -> dataset_pb2.DatasetConversion:
    return await client.stub.ConvertDatasetVersion(
        dataset_service_pb2.ConvertDatasetVersionRequest(name=version, format=wanted)
    )


async def converted(client: DatasetClient, version: str, wanted: Any) -> dataset_pb2.DatasetConversion:
    """What became of it."""
    name = (await ordered(client, version, wanted)).name
    request = dataset_service_pb2.WatchDatasetConversionRequest(name=name)
    return [state async for state in client.stub.WatchDatasetConversion(request)][-1]


async def downloaded(client: DatasetClient, name: str, path: str, offset: int = 0) -> tuple[bytes, Any]:
    """The bytes, and the first message."""
    request = dataset_service_pb2.DownloadDatasetFileRequest(name=name, path=path, offset=offset)
    messages = [message async for message in client.stub.DownloadDatasetFile(request)]
    return b"".join(message.chunk for message in messages), messages[0]


async def test_a_version_is_written_in_every_format(client: DatasetClient) -> None:
    version = await storks(client)
    chat, alpaca, parquet, folder = await asyncio.gather(
        *(converted(client, version.name, wanted) for wanted in (CHAT, ALPACA, PARQUET, FOLDER))
    )
    assert chat.name == f"{version.name}/conversions/chat-jsonl"
    assert {each.status.state for each in (chat, alpaca, parquet, folder)} == {job_pb2.JOB_STATE_SUCCEEDED}
    lines, _ = await downloaded(client, chat.name, "train.jsonl")
    assert [json.loads(line) for line in lines.splitlines()] == [
        {"messages": row["messages"]} for row in client.rows(version)
    ]
    lines, _ = await downloaded(client, alpaca.name, "validation.jsonl")
    assert {json.loads(line)["instruction"] for line in lines.splitlines()} <= {row["instruction"] for row in ROWS}
    table, _ = await downloaded(client, parquet.name, "train.parquet")
    ids = pq.read_table(io.BytesIO(table)).column("id").to_pylist()
    assert ids == [row["id"] for row in client.rows(version)]
    card, _ = await downloaded(client, folder.name, "README.md")
    assert b"path: data/train.parquet" in card


async def test_one_version_and_format_is_one_conversion(client: DatasetClient) -> None:
    version = await storks(client)
    first, again = await asyncio.gather(ordered(client, version.name, CHAT), ordered(client, version.name, CHAT))
    assert first.name == again.name
    done = await converted(client, version.name, CHAT)
    assert await ordered(client, version.name, CHAT) == done
    request = dataset_service_pb2.GetDatasetConversionRequest(name=done.name)
    assert await client.stub.GetDatasetConversion(request) == done


async def test_the_version_and_its_conversions_do_not_lie_in_each_other(client: DatasetClient) -> None:
    version = await storks(client)
    conversion = await converted(client, version.name, CHAT)
    assert not conversion.bundle.prefix.startswith(f"{version.bundle.prefix}/")


async def test_conversations_of_several_turns_are_refused_as_alpaca(client: DatasetClient) -> None:
    version = await client.import_rows("charlas", [*ROWS[:4], {"messages": TURNS}], validation_fraction=0.3)
    failed = await converted(client, version.name, ALPACA)
    assert failed.status.state == job_pb2.JOB_STATE_FAILED
    assert failed.status.failure_class == job_pb2.FAILURE_CLASS_USER_DATA
    assert "ask for chat-jsonl" in failed.status.error.message
    assert (await converted(client, version.name, ALPACA)).name == failed.name, "the rows are what they are"
    with pytest.raises(FailedPrecondition, match="FAILED"):
        await downloaded(client, failed.name, "train.jsonl")


async def test_only_versions_that_may_be_used_are_converted(client: DatasetClient) -> None:
    invalid = await client.import_rows("rota", b"no es json\n")
    with pytest.raises(FailedPrecondition, match="INVALID"):
        await ordered(client, invalid.name, CHAT)
    with pytest.raises(NotFound):
        await ordered(client, f"{client.branch}/datasets/nada/versions/20260101T000000Z", CHAT)
    with pytest.raises(InvalidInput) as refused:
        await ordered(client, invalid.name, 0)
    assert [violation.field for violation in refused.value.violations] == ["format"]


async def test_conversions_are_listed_newest_first_and_page_by_page(client: DatasetClient) -> None:
    version = await client.import_rows("otras-ciguenas", ROWS)
    made = [(await converted(client, version.name, wanted)).name for wanted in (CHAT, ALPACA, PARQUET)]

    async def listed(parent: str, **page: Any) -> dataset_service_pb2.ListDatasetConversionsResponse:
        request = dataset_service_pb2.ListDatasetConversionsRequest(parent=parent, **page)
        return await client.stub.ListDatasetConversions(request)

    first = await listed(version.name, page_size=2)
    rest = await listed(version.name, page_size=2, page_token=first.next_page_token)
    assert [each.name for each in [*first.dataset_conversions, *rest.dataset_conversions]] == made[::-1]
    assert not rest.next_page_token
    of_dataset = await listed(f"{client.branch}/datasets/otras-ciguenas")
    assert [each.name for each in of_dataset.dataset_conversions] == made[::-1]
    of_branch = await listed(client.branch)
    assert set(made) <= {each.name for each in of_branch.dataset_conversions}, "and no versions, which are jobs too"
    assert all("/conversions/" in each.name for each in of_branch.dataset_conversions)
    assert not (await listed(f"{client.branch}/datasets/otras")).dataset_conversions
    with pytest.raises(NotFound):
        await listed(f"{client.branch}/datasets/nada/versions/20260101T000000Z")


async def test_a_conversion_is_cancelled_and_asked_for_anew(client: DatasetClient) -> None:
    rows = [
        {"instruction": f"¿Qué hace la cigüeña {n}?", "output": f"Anida en la torre {n}. " * 20} for n in range(3000)
    ]
    version = await client.import_rows("muchas", rows)
    asked = await ordered(client, version.name, PARQUET)
    cancel = dataset_service_pb2.CancelDatasetConversionRequest(name=asked.name)
    await client.stub.CancelDatasetConversion(cancel)
    request = dataset_service_pb2.WatchDatasetConversionRequest(name=asked.name)
    ended = [state async for state in client.stub.WatchDatasetConversion(request)][-1]
    assert ended.status.state == job_pb2.JOB_STATE_CANCELLED
    with pytest.raises(FailedPrecondition):
        await client.stub.CancelDatasetConversion(cancel)
    anew = await converted(client, version.name, PARQUET)
    assert (anew.name, anew.status.state) == (f"{asked.name}-2", job_pb2.JOB_STATE_SUCCEEDED)
    with pytest.raises(NotFound, match="ConvertDatasetVersion"):
        of_version = dataset_service_pb2.CancelDatasetConversionRequest(name=f"{version.name}/conversions/nada")
        await client.stub.CancelDatasetConversion(of_version)


async def test_a_conversion_that_nobody_ordered_is_not_found(client: DatasetClient) -> None:
    version = await storks(client)
    name = f"{version.name}/conversions/nada"
    with pytest.raises(NotFound, match="ConvertDatasetVersion"):
        await client.stub.GetDatasetConversion(dataset_service_pb2.GetDatasetConversionRequest(name=name))
    with pytest.raises(NotFound):
        await downloaded(client, name, "train.jsonl")


# --- downloads


async def test_a_file_comes_from_any_byte_on_with_its_size_and_digest_first(client: DatasetClient) -> None:
    version = await storks(client)
    stored = client.stored(version, "train.jsonl").read_bytes()

    whole, first = await downloaded(client, version.name, "train.jsonl")
    rest, _ = await downloaded(client, version.name, "train.jsonl", offset=1000)
    nothing, end = await downloaded(client, version.name, "train.jsonl", offset=len(stored))

    assert whole == stored
    assert (first.size_bytes, first.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert rest == stored[1000:]
    assert (nothing, end.size_bytes) == (b"", len(stored))
    with pytest.raises(InvalidInput) as refused:
        await downloaded(client, version.name, "train.jsonl", offset=len(stored) + 1)
    assert [violation.field for violation in refused.value.violations] == ["offset"]


async def test_a_file_that_a_version_lacks_is_not_found_and_no_path_leads_out(client: DatasetClient) -> None:
    version = await storks(client)
    for path in ("test.jsonl", "../../../secret", "/etc/passwd"):
        with pytest.raises(NotFound, match=r"it has .*train\.jsonl"):
            await downloaded(client, version.name, path)


async def test_the_report_of_an_invalid_version_can_be_downloaded(client: DatasetClient) -> None:
    invalid = await client.import_rows("rota", b"no es json\n")
    assert state_of(invalid) == "INVALID"
    report, _ = await downloaded(client, invalid.name, "report.json")
    assert json.loads(report)["valid"] is False


async def test_a_tampered_file_breaks_off_before_its_end(suite: EmbeddedSuite) -> None:
    # On a branch of its own: new versions of a branch are compared with the others, and read them for that.
    client = DatasetClient(suite.endpoint("dataset"), suite.data_dir / "artifacts", "alterada")
    await client.create_branch()
    version = await client.import_rows("grullas", ROWS)
    stored = client.stored(version, "train.jsonl")
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes().replace("otoño".encode(), b"verano", 1))
    with pytest.raises(Corrupted, match="sha256"):
        await downloaded(client, version.name, "train.jsonl")
    await client.close()
