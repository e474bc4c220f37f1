"""Looking into versions over gRPC: rows, samples, audits, differences."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from google.protobuf import json_format

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_platform.errors import Corrupted, FailedPrecondition, InvalidInput, LimitExceeded, NotFound
from tests.dataset_client import DatasetClient, new_request_id, state_of
from tests.embedded import EmbeddedSuite

ROWS = [
    {
        "instruction": f"¿Qué hace la cigüeña número {number}?",
        "output": f"Anida en la torre {number} hasta el otoño y vuelve en febrero.",
        "torre": number,
    }
    for number in range(50)
]
CHANGE = dataset_pb2.DatasetRowDiff.Change
TRAIN, VALIDATION = dataset_pb2.DATASET_SIDE_TRAIN, dataset_pb2.DATASET_SIDE_VALIDATION


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture
async def client(suite: EmbeddedSuite) -> AsyncIterator[DatasetClient]:
    client = DatasetClient(suite.endpoint("dataset"), suite.data_dir / "artifacts", "leida")
    await client.create_branch()
    yield client
    await client.close()


async def storks(client: DatasetClient) -> dataset_pb2.DatasetVersion:
    """The same version for every test: it is imported once."""
    return await client.import_rows("ciguenas", ROWS, request_id="ciguenas")


async def pages(client: DatasetClient, name: str, size: int = 7, **given: Any) -> list[list[dataset_pb2.DatasetRow]]:
    found, token = [], ""
    while True:
        request = dataset_service_pb2.ListDatasetRowsRequest(parent=name, page_size=size, page_token=token, **given)
        page = await client.stub.ListDatasetRows(request)
        found.append(list(page.rows))
        token = page.next_page_token
        if not token:
            return found


async def diff(client: DatasetClient, base: str, target: str, **given: Any) -> Any:
    return await client.stub.DiffDatasetVersions(
        dataset_service_pb2.DiffDatasetVersionsRequest(base=base, target=target, **given)
    )


async def sample(client: DatasetClient, name: str, **given: Any) -> list[str]:
    answer = await client.stub.SampleDatasetRows(dataset_service_pb2.SampleDatasetRowsRequest(name=name, **given))
    return [row.id for row in answer.rows]


async def audit(client: DatasetClient, name: str, side: Any = None) -> dataset_pb2.DatasetAudit:
    return await client.stub.GetDatasetAudit(dataset_service_pb2.GetDatasetAuditRequest(name=name, side=side))


def violated(refused: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [violation.field for violation in refused.value.violations]


# --- rows


async def test_pages_hold_every_row_once_in_the_order_of_the_files(client: DatasetClient) -> None:
    version = await storks(client)

    found = await pages(client, version.name)

    assert [len(page) for page in found] == [7, 7, 7, 7, 7, 7, 7, 1]
    rows = list(itertools.chain.from_iterable(found))
    assert [row.id for row in rows] == [
        row["id"] for side in ("train", "validation") for row in client.rows(version, side)
    ]
    assert [row.side for row in rows] == [TRAIN] * 40 + [VALIDATION] * 10
    first = client.rows(version)[0]
    assert [message.content for message in rows[0].messages] == [message["content"] for message in first["messages"]]
    assert json_format.MessageToDict(rows[0].metadata) == first["metadata"]
    assert rows[0].origin_id == rows[0].id


async def test_one_side_can_be_listed_alone(client: DatasetClient) -> None:
    version = await storks(client)
    held_out = await pages(client, version.name, side=VALIDATION)
    assert [row.id for page in held_out for row in page] == [row["id"] for row in client.rows(version, "validation")]


async def test_rows_with_choices_and_large_numbers_come_as_they_are(client: DatasetClient) -> None:
    rows = [
        {"question": "¿2 + 2?", "choices": ["3", "4"], "answer": 1, "id_externo": 2**60, "notas": {"ñ": [1.5, None]}}
    ]
    version = await client.import_rows("sumas", rows, validation_fraction=0.5)
    ((row,),) = await pages(client, version.name)
    assert (list(row.choices), row.answer) == (["3", "4"], 1)
    assert json_format.MessageToDict(row.metadata) == {"id_externo": str(2**60), "notas": {"ñ": [1.5, None]}}


async def test_a_page_of_long_rows_is_short_enough_to_be_sent(client: DatasetClient) -> None:
    rows = [{"instruction": f"Cuenta {n}.", "output": chr(97 + n) * 900_000} for n in range(12)]
    version = await client.import_rows("largas", rows)
    found = await pages(client, version.name, size=500)
    assert sum(map(len, found)) == 12
    assert len(found) > 2
    with pytest.raises(LimitExceeded, match="ask for fewer"):
        await sample(client, version.name, size=12)


# "otro" is no list, the next ones are a list of another length, an unknown side, and no number.
@pytest.mark.parametrize("token", ["otro", "WyIxIl0=", "WyJvdHJvIiwgIjAiXQ==", "WyJ0cmFpbiIsICJ4Il0="])
async def test_a_page_token_of_another_list_is_refused(client: DatasetClient, token: str) -> None:
    version = await storks(client)
    request = dataset_service_pb2.ListDatasetRowsRequest(parent=version.name, page_token=token)
    with pytest.raises(InvalidInput) as refused:
        await client.stub.ListDatasetRows(request)
    assert violated(refused) == ["page_token"]


# Inside of a row, behind the end of the file, before its begin.
@pytest.mark.parametrize("token", ["WyJ0cmFpbiIsICIxMCJd", "WyJ0cmFpbiIsICI5OTk5OTkiXQ==", "WyJ0cmFpbiIsICItNSJd"])
async def test_a_page_token_that_points_into_the_void_is_refused(client: DatasetClient, token: str) -> None:
    version = await storks(client)
    request = dataset_service_pb2.ListDatasetRowsRequest(parent=version.name, page_token=token)
    with pytest.raises(InvalidInput) as refused:
        await client.stub.ListDatasetRows(request)
    assert violated(refused) == ["page_token"]


async def test_an_unknown_side_is_refused(client: DatasetClient) -> None:
    unknown: Any = 7
    request = dataset_service_pb2.ListDatasetRowsRequest(
        parent=f"{client.branch}/datasets/d/versions/20260101T000000Z", side=unknown
    )
    with pytest.raises(InvalidInput) as refused:
        await client.stub.ListDatasetRows(request)
    assert violated(refused) == ["side"]


async def test_versions_without_rows_have_none_to_show(client: DatasetClient) -> None:
    invalid = await client.import_rows("rota", b"no es json\n")
    with pytest.raises(FailedPrecondition, match="INVALID"):
        await pages(client, invalid.name)
    with pytest.raises(NotFound):
        await pages(client, f"{client.branch}/datasets/nada/versions/20260101T000000Z")


async def test_a_tampered_file_is_never_shown(suite: EmbeddedSuite) -> None:
    # On a branch of its own: new versions of a branch are compared with the others, and read them for that.
    client = DatasetClient(suite.endpoint("dataset"), suite.data_dir / "artifacts", "alterada")
    await client.create_branch()
    version = await client.import_rows("grullas", [{**row, "torre": "otra"} for row in ROWS])
    stored = client.stored(version, "train.jsonl")
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes().replace("otoño".encode(), b"verano", 1))
    with pytest.raises(Corrupted, match="sha256"):
        await pages(client, version.name)
    with pytest.raises(Corrupted):
        await sample(client, version.name, size=3)
    await client.close()


# --- samples


# R16
async def test_the_same_seed_shows_a_reviewer_the_same_rows(client: DatasetClient) -> None:
    version = await storks(client)
    first = await sample(client, version.name, size=10, seed=3)
    assert await sample(client, version.name, size=10, seed=3) == first
    assert await sample(client, version.name, size=20, seed=3) != first
    assert (await sample(client, version.name, size=20, seed=3))[:10] == first
    assert set(await sample(client, version.name, size=10, seed=4)) != set(first)
    everything = {row.id for page in await pages(client, version.name) for row in page}
    assert set(await sample(client, version.name, size=500, seed=3)) == everything


async def test_a_sample_is_as_large_as_the_branch_policy_says(client: DatasetClient) -> None:
    version = await storks(client)
    policy = await client.stub.GetBranchPolicy(
        dataset_service_pb2.GetBranchPolicyRequest(name=f"{client.branch}/policy")
    )
    policy.sample_size = 4
    await client.stub.UpdateBranchPolicy(dataset_service_pb2.UpdateBranchPolicyRequest(policy=policy))
    assert len(await sample(client, version.name)) == 4


# --- audits

RECORDS = [
    {
        "concept": f"Panadería número {number}",
        "title": f"Reparto de pan a domicilio {number}",
        "description": f"La panadería {number} reparte pan cada mañana, y quien lo espera quiere saber dónde está. "
        * 2,
        "functional_requirements": "- FR01: Ver el reparto\n- FR02: Avisar del retraso\n",
        "non_functional_requirements": "- NFR001: Responder en un segundo\n- NFR002: Hablar español\n",
        "constraints": "- C001: Sin coste\n- C002: Sin papel\n",
    }
    for number in range(10)
]


# R78, R79
async def test_an_audit_counts_by_side_and_as_a_whole(client: DatasetClient) -> None:
    version = await client.import_rows("pan", RECORDS, profile="business-requirements")

    whole = await audit(client, version.name)
    train, validation = await audit(client, version.name, TRAIN), await audit(client, version.name, VALIDATION)

    assert whole.total_examples == train.total_examples + validation.total_examples == 10
    assert whole.id_format_issues.count == 20
    assert list(whole.id_format_issues.affected_ids) == ["FR01", "FR02"]
    assert whole.findings_by_code["ID_FORMAT"] == (
        train.findings_by_code["ID_FORMAT"] + validation.findings_by_code["ID_FORMAT"]
    )
    assert whole.valid_examples == 0
    assert whole.field_completeness["constraints"] == 1.0


async def test_an_audit_tells_of_a_version_that_is_invalid_too(client: DatasetClient) -> None:
    broken = [{**RECORDS[0], "functional_requirements": "- [FR001: sin fin\n"}, *RECORDS[1:]]
    version = await client.import_rows("pan", broken, profile="business-requirements")
    assert state_of(version) == "INVALID"
    assert (await audit(client, version.name)).yaml_validation_errors == 1


# --- differences


# R84
async def test_a_fix_differs_field_by_field(client: DatasetClient) -> None:
    base = await client.import_rows("pan", RECORDS)
    fixing = dataset_service_pb2.FixDatasetVersionRequest(
        name=base.name, request_id=new_request_id(), fixers=[dataset_pb2.FIXER_PAD_IDS]
    )
    target = await client.made(client.stub.FixDatasetVersion(fixing))

    found = await diff(client, base.name, target.name)

    assert (found.changed, found.added, found.removed, found.moved, found.unchanged) == (10, 0, 0, 0, 0)
    row = found.rows[0]
    assert (row.change, row.base_side, row.target_side) == (CHANGE.CHANGE_CHANGED, TRAIN, TRAIN)
    assert row.base_id != row.target_id
    fields = {field.pointer: (field.before, field.after) for field in row.fields}
    before, after = fields["/record/functional_requirements"]
    assert ("FR01:" in before, "FR001:" in after) == (True, True)
    assert set(fields) == {"/record/functional_requirements", "/messages/1/content"}


# R80, R84
async def test_a_fix_of_what_was_invalid_differs_field_by_field_too(client: DatasetClient) -> None:
    base = await client.import_rows("pan", RECORDS, profile="business-requirements")
    assert state_of(base) == "INVALID"
    fixers = [dataset_pb2.FIXER_PAD_IDS]
    fixing = dataset_service_pb2.FixDatasetVersionRequest(
        name=base.name, request_id=new_request_id(), fixers=fixers, profile="instruct"
    )
    target = await client.made(client.stub.FixDatasetVersion(fixing))
    assert state_of(target) == "READY"

    found = await diff(client, base.name, target.name)

    assert (found.changed, found.added, found.removed, found.moved, found.unchanged) == (10, 0, 0, 0, 0)
    row = found.rows[0]
    assert (row.change, row.base_side) == (CHANGE.CHANGE_CHANGED, dataset_pb2.DATASET_SIDE_UNSPECIFIED)
    [field] = [field for field in row.fields if field.pointer == "/record/functional_requirements"]
    assert ("FR01:" in field.before, "FR001:" in field.after) == (True, True)
    request = dataset_service_pb2.DiffDatasetVersionsRequest(base=base.name, target=target.name, page_size=4)
    paged: list[dataset_pb2.DatasetRowDiff] = []
    while not paged or request.page_token:
        page = await client.stub.DiffDatasetVersions(request)
        paged += page.rows
        request.page_token = page.next_page_token
    assert paged == list(found.rows)
    with pytest.raises(InvalidInput, match="malformed page_token"):
        request.page_token = base64.urlsafe_b64encode(b'["7"]').decode()
        await client.stub.DiffDatasetVersions(request)


async def test_rows_are_added_removed_moved_or_changed(client: DatasetClient) -> None:
    base = await storks(client)
    changed: list[dict[str, Any]] = [
        *ROWS[5:],
        {"instruction": "¿Y el ñandú?", "output": "Corre por la pampa sin volar jamás."},
    ]
    changed[0] = changed[0] | {"torre": "nueva"}
    target = await client.import_rows("ciguenas", changed, split_seed=9)

    found = await diff(client, base.name, target.name, page_size=500)

    by_change: dict[Any, list[Any]] = {}
    for row in found.rows:
        by_change.setdefault(row.change, []).append(row)
    assert (found.added, found.removed, found.changed) == (1, 5, 1)
    assert found.moved == len(by_change[CHANGE.CHANGE_MOVED]) > 0
    assert found.unchanged == 45 - 1 - found.moved
    assert all(row.base_side != row.target_side for row in by_change[CHANGE.CHANGE_MOVED])
    (row,) = by_change[CHANGE.CHANGE_CHANGED]
    assert row.base_id == row.target_id
    assert [(field.pointer, field.before, field.after) for field in row.fields] == [("/metadata/torre", "5", '"nueva"')]
    assert [row.target_id for row in by_change[CHANGE.CHANGE_REMOVED]] == [""] * 5
    assert [row.change for row in found.rows[-5:]] == [CHANGE.CHANGE_REMOVED] * 5


async def test_a_diff_comes_in_pages_that_hold_every_row_once(client: DatasetClient) -> None:
    base = await client.import_rows("ciguenas", ROWS[:25])
    target = await client.import_rows("ciguenas", ROWS[25:])
    rows, token = [], ""
    while True:
        page = await diff(client, base.name, target.name, page_size=8, page_token=token)
        rows += page.rows
        token = page.next_page_token
        if not token:
            break
    assert len({(row.base_id, row.target_id) for row in rows}) == len(rows) == page.added + page.removed == 50
    for broken in ("nada", "WyI1MSJd"):
        with pytest.raises(InvalidInput) as refused:
            await diff(client, base.name, target.name, page_token=broken)
        assert violated(refused) == ["page_token"]


async def test_a_version_does_not_differ_from_itself(client: DatasetClient) -> None:
    version = await storks(client)
    found = await diff(client, version.name, version.name)
    assert (len(found.rows), found.unchanged, found.next_page_token) == (0, 50, "")


async def test_versions_of_two_branches_are_not_compared(client: DatasetClient) -> None:
    version = await storks(client)
    with pytest.raises(InvalidInput) as refused:
        await diff(client, version.name, "branches/otra/datasets/d/versions/20260101T000000Z")
    assert violated(refused) == ["target"]
