"""Approving, rejecting, archiving, signing and verifying versions, over gRPC on the embedded suite."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fragua.dataset.v1 import branch_policy_pb2, dataset_pb2, dataset_service_pb2
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2, trainer_service_pb2_grpc
from fragua_platform.errors import FailedPrecondition, InvalidInput
from fragua_platform.grpc.client import open_channel
from tests.dataset_client import DatasetClient, new_request_id, state_of
from tests.embedded import EmbeddedSuite

ROWS = [
    {"instruction": f"¿Qué hace la cigüeña número {number}?", "output": f"Anida en la torre {number} hasta el otoño."}
    for number in range(10)
]
_branches = itertools.count(1)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture
async def client(suite: EmbeddedSuite) -> AsyncIterator[DatasetClient]:
    """On a branch of its own whose versions need approval."""
    artifacts = suite.data_dir / "artifacts"
    client = DatasetClient(suite.endpoint("dataset"), artifacts, f"revisada-{next(_branches)}")
    await client.create_branch()
    await change_policy(client, requires_approval=True)
    yield client
    await client.close()


async def change_policy(client: DatasetClient, **changes: Any) -> None:
    name = f"{client.branch}/policy"
    policy = await client.stub.GetBranchPolicy(dataset_service_pb2.GetBranchPolicyRequest(name=name))
    policy.MergeFrom(branch_policy_pb2.BranchPolicy(**changes))
    await client.stub.UpdateBranchPolicy(dataset_service_pb2.UpdateBranchPolicyRequest(policy=policy))


def approval(version: dataset_pb2.DatasetVersion, **changes: Any) -> Any:
    given = {"name": version.name, "reviewer": "Íñigo Muñoz", "reason": "Bien escrito.", **changes}
    return dataset_service_pb2.ApproveDatasetVersionRequest(**given)


def rejection(version: dataset_pb2.DatasetVersion, **changes: Any) -> Any:
    given = {"name": version.name, "reviewer": "Begoña", "reason": "Las cigüeñas no llevan número.", **changes}
    return dataset_service_pb2.RejectDatasetVersionRequest(**given)


def archiving(version: dataset_pb2.DatasetVersion) -> Any:
    return dataset_service_pb2.ArchiveDatasetVersionRequest(
        name=version.name, reviewer="Begoña", reason="Hay una más nueva."
    )


def signing(version: dataset_pb2.DatasetVersion, key: Ed25519PrivateKey, *, name: str = "") -> Any:
    message = f"fragua dataset version v1\n{name or version.name}\n{version.bundle.manifest_sha256}\n"
    return dataset_service_pb2.SignDatasetVersionRequest(
        name=version.name,
        signer="Íñigo Muñoz",
        public_key=key.public_key().public_bytes_raw(),
        signature=key.sign(message.encode()),
    )


async def verified(client: DatasetClient, version: dataset_pb2.DatasetVersion) -> dataset_pb2.DatasetVerification:
    return await client.stub.VerifyDatasetVersion(dataset_service_pb2.VerifyDatasetVersionRequest(name=version.name))


def events_about(suite: EmbeddedSuite, version: dataset_pb2.DatasetVersion) -> list[str]:
    """Version events that the dataset service's outbox holds, in order."""
    (database,) = suite.data_dir.rglob("dataset.db")
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT payload FROM outbox WHERE kind = 'event' ORDER BY position").fetchall()
    payloads = [json.loads(row[0]) for row in rows]
    return [
        payload["headers"]["ce-subject"].rpartition(".")[2]
        for payload in payloads
        if ".dataset.version." in payload["headers"]["ce-subject"]
        and json.loads(payload["body"])["datasetVersion"] == version.name
    ]


# --- approve, reject, archive


# R16
async def test_a_version_waits_for_its_reviewer_and_keeps_who_said_what_about_which_sample(
    suite: EmbeddedSuite, client: DatasetClient
) -> None:
    waiting = await client.import_rows("ciguenas", ROWS)
    assert state_of(waiting) == "AWAITING_APPROVAL"
    assert waiting.bundle.files, "there is something to look at"

    ready = await client.stub.ApproveDatasetVersion(approval(waiting, sample_seed=7, sample_size=5))

    assert state_of(ready) == "READY"
    assert (ready.review.reviewer, ready.review.reason) == ("Íñigo Muñoz", "Bien escrito.")
    assert (ready.review.sample_seed, ready.review.sample_size) == (7, 5)
    assert ready.review.review_time.seconds > 0
    assert ready.bundle == waiting.bundle
    archived = await client.stub.ArchiveDatasetVersion(archiving(ready))
    assert (state_of(archived), archived.review.reviewer) == ("ARCHIVED", "Begoña")
    assert events_about(suite, waiting) == ["awaiting-approval", "ready", "archived"]


async def test_a_rejected_version_can_be_archived_and_nothing_else(suite: EmbeddedSuite, client: DatasetClient) -> None:
    waiting = await client.import_rows("ciguenas", ROWS)
    with pytest.raises(FailedPrecondition, match="AWAITING_APPROVAL; only READY or REJECTED can become ARCHIVED"):
        await client.stub.ArchiveDatasetVersion(archiving(waiting))
    refused = await client.stub.RejectDatasetVersion(rejection(waiting))
    assert state_of(refused) == "REJECTED"
    with pytest.raises(FailedPrecondition, match=r"REJECTED \(by Begoña: Las cigüeñas no llevan número"):
        await client.stub.ApproveDatasetVersion(approval(waiting))
    assert state_of(await client.stub.ArchiveDatasetVersion(archiving(refused))) == "ARCHIVED"
    assert events_about(suite, waiting) == ["awaiting-approval", "rejected", "archived"]


async def test_of_two_decisions_at_once_one_counts_and_the_other_is_told(
    suite: EmbeddedSuite, client: DatasetClient
) -> None:
    waiting = await client.import_rows("ciguenas", ROWS)
    outcomes = await asyncio.gather(
        client.stub.ApproveDatasetVersion(approval(waiting)),
        client.stub.RejectDatasetVersion(rejection(waiting)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(refused) == 1 and isinstance(refused[0], FailedPrecondition)
    assert len(events_about(suite, waiting)) == 2


async def test_a_decision_that_is_sent_twice_is_made_once(suite: EmbeddedSuite, client: DatasetClient) -> None:
    waiting = await client.import_rows("ciguenas", ROWS)
    first = await client.stub.ApproveDatasetVersion(approval(waiting))
    assert await client.stub.ApproveDatasetVersion(approval(waiting)) == first
    assert events_about(suite, waiting) == ["awaiting-approval", "ready"]


async def test_what_is_made_from_a_rejected_version_waits_even_where_no_approval_is_asked(
    client: DatasetClient,
) -> None:
    refused = await client.stub.RejectDatasetVersion(rejection(await client.import_rows("ciguenas", ROWS)))
    name = f"{client.branch}/policy"
    policy = await client.stub.GetBranchPolicy(dataset_service_pb2.GetBranchPolicyRequest(name=name))
    policy.requires_approval = False
    await client.stub.UpdateBranchPolicy(dataset_service_pb2.UpdateBranchPolicyRequest(policy=policy))
    request = dataset_service_pb2.SplitDatasetVersionRequest(name=refused.name, request_id=new_request_id())
    divided = await client.made(client.stub.SplitDatasetVersion(request))
    assert state_of(divided) == "AWAITING_APPROVAL"


async def test_bad_reviews_name_every_violation(client: DatasetClient) -> None:
    with pytest.raises(InvalidInput) as refused:
        await client.stub.ApproveDatasetVersion(
            dataset_service_pb2.ApproveDatasetVersionRequest(name="x", sample_seed=-1, sample_size=-1)
        )
    found = {violation.field for violation in refused.value.violations}
    assert found == {"name", "reviewer", "reason", "sample_seed", "sample_size"}


@pytest.mark.parametrize("decide", ["reject", "archive"])
async def test_the_trainer_takes_only_ready_versions_and_says_what_the_others_are(
    suite: EmbeddedSuite, client: DatasetClient, decide: str
) -> None:
    waiting = await client.import_rows("ciguenas", ROWS)
    if decide == "reject":
        refused = await client.stub.RejectDatasetVersion(rejection(waiting))
    else:
        refused = await client.stub.ArchiveDatasetVersion(
            archiving(await client.stub.ApproveDatasetVersion(approval(waiting)))
        )
    request = trainer_service_pb2.CreateTrainingJobRequest(
        parent=client.branch,
        training_job=trainer_pb2.TrainingJob(
            dataset_version=refused.name, base_model="baseModels/tiny/revisions/0123456789abcdef"
        ),
        request_id=uuid.uuid4().hex,
    )
    async with open_channel(suite.endpoint("trainer")) as channel:
        with pytest.raises(InvalidInput, match=f"is {state_of(refused)}; only READY versions"):
            await trainer_service_pb2_grpc.TrainerServiceStub(channel).CreateTrainingJob(request)


# --- sign and verify


# R33
async def test_a_signature_is_kept_and_counts_when_its_key_is_trusted(client: DatasetClient) -> None:
    trusted, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    await change_policy(client, trusted_keys={"Íñigo": trusted.public_key().public_bytes_raw()})
    version = await client.import_rows("ciguenas", ROWS)
    for key in (trusted, stranger):
        version = await client.stub.SignDatasetVersion(signing(version, key))
    again = await client.stub.SignDatasetVersion(signing(version, trusted))
    assert again == version and len(version.signatures) == 2

    found = await verified(client, version)

    assert found.intact and not found.faults
    assert found.rows_checked == len(ROWS)
    assert [(check.valid, check.trusted) for check in found.signatures] == [(True, True), (True, False)]


async def test_a_signature_of_something_else_is_refused(client: DatasetClient) -> None:
    key = Ed25519PrivateKey.generate()
    version = await client.import_rows("ciguenas", ROWS)
    with pytest.raises(InvalidInput) as other_name:
        await client.stub.SignDatasetVersion(signing(version, key, name=f"{version.name}-2"))
    assert {violation.field for violation in other_name.value.violations} == {"signature"}
    other_key = signing(version, key)
    other_key.public_key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(InvalidInput, match="does not fit"):
        await client.stub.SignDatasetVersion(other_key)
    invalid = await client.import_rows("rotas", b"no es JSON\n")
    with pytest.raises(FailedPrecondition, match="INVALID"):
        await client.stub.SignDatasetVersion(signing(invalid, key))
    with pytest.raises(FailedPrecondition, match="no rows"):
        await verified(client, invalid)


def _change_a_word(file: Path) -> None:
    """The second row's answer; as many bytes as before."""
    lines = file.read_text("utf-8").splitlines(keepends=True)
    lines[1] = lines[1].replace("torre", "acera", 1)
    file.write_text("".join(lines), "utf-8")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _change_metadata(file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace('"metadata":{}', '"metadata":{"a":1}', 1), "utf-8")


def _add_a_space(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b" ")


# R32
@pytest.mark.parametrize(
    ("name", "tamper", "faults"),
    [
        ("train.jsonl", _change_a_word, [r"train\.jsonl: .*sha256", r"train\.jsonl, line 2: its id is"]),
        ("train.jsonl", _cut, [r"train\.jsonl: .*bytes", r"train\.jsonl, line 8: is not a row"]),
        ("validation.jsonl", _change_metadata, [r"validation\.jsonl: .*bytes"]),
        ("validation.jsonl", Path.unlink, [r"validation\.jsonl: it is gone"]),
        ("report.json", _add_a_space, [r"report\.json: .*bytes"]),
        ("manifest.json", _add_a_space, [r"manifest\.json: its sha256 is"]),
        ("manifest.json", Path.unlink, [r"manifest\.json: "]),
    ],
)
async def test_what_was_tampered_with_is_found_and_named(
    client: DatasetClient, name: str, tamper: Any, faults: list[str]
) -> None:
    version = await client.import_rows("ciguenas", ROWS)
    version = await client.stub.SignDatasetVersion(signing(version, Ed25519PrivateKey.generate()))
    file = client.stored(version, "train.jsonl").with_name(name)
    file.chmod(0o644)
    tamper(file)

    found = await verified(client, version)

    assert not found.intact
    assert len(found.faults) == len(faults), found.faults
    for fault, pattern in zip(found.faults, faults, strict=True):
        assert re.match(pattern, fault), fault
    assert not any("torre" in fault or "acera" in fault for fault in found.faults), "no text of a row"
    assert found.signatures[0].valid == (name != "manifest.json")


async def test_a_damaged_version_closes_the_branch_to_nobody_and_is_told(client: DatasetClient) -> None:
    damaged = await client.import_rows("viejas", ROWS)
    file = client.stored(damaged, "train.jsonl")
    file.chmod(0o644)
    _change_a_word(file)

    version = await client.import_rows("nuevas", ROWS)

    assert state_of(version) == "AWAITING_APPROVAL", "valid; this branch asks for approval"
    (told,) = [problem for problem in await client.problems(version) if problem.code == "NOT_COMPARED"]
    assert damaged.name in told.message
    assert "damaged" in told.message
    assert "torre" not in told.message
