"""Requests that can never work: each gets the right status, every violation by name, and leaves nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

from fragua.common.v1 import job_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua.evaluator.v1 import evaluator_pb2, evaluator_service_pb2
from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2
from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2
from fragua_platform.errors import AlreadyExists, FailedPrecondition, InvalidInput, LimitExceeded, NotFound
from tests.chain import BRANCH, Chain
from tests.embedded import EmbeddedSuite

VERSION = f"{BRANCH}/datasets/sumas/versions/20260101T000000Z"
BASE = "baseModels/tiny/revisions/0123456789abcdef"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture
async def chain(suite: EmbeddedSuite) -> AsyncIterator[Chain]:
    async def ignore(_service: str, _status: job_pb2.JobStatus) -> None:
        """Nobody is watching."""

    chain = Chain(suite.endpoint, ignore)
    await chain.dataset.CreateBranch(dataset_service_pb2.CreateBranchRequest(branch_id="tutor", display_name="Tutoría"))
    yield chain
    await chain.close()


def fields(error: InvalidInput) -> set[str]:
    return {violation.field for violation in error.violations}


async def test_every_violation_of_a_message_is_named_at_once(chain: Chain) -> None:
    request = trainer_service_pb2.CreateTrainingJobRequest(
        parent="branches/Ñandú",
        training_job=trainer_pb2.TrainingJob(
            dataset_version="last one",
            base_model="",
            lora=trainer_pb2.LoraSpec(rank=0, dropout=1.0),
            schedule=trainer_pb2.Schedule(learning_rate=-1, batch_size=100_000),
        ),
    )
    with pytest.raises(InvalidInput) as refused:
        await chain.trainer.CreateTrainingJob(request)
    assert fields(refused.value) >= {
        "parent",
        "request_id",
        "training_job.dataset_version",
        "training_job.base_model",
        "training_job.lora.rank",
        "training_job.lora.dropout",
        "training_job.schedule.learning_rate",
        "training_job.schedule.batch_size",
    }


async def test_an_empty_request_names_what_it_lacks(chain: Chain) -> None:
    calls: list[tuple[Any, Any]] = [
        (chain.trainer.CreateTrainingJob, trainer_service_pb2.CreateTrainingJobRequest()),
        (chain.evaluator.CreateEvaluation, evaluator_service_pb2.CreateEvaluationRequest()),
        (chain.exporter.CreateExport, exporter_service_pb2.CreateExportRequest()),
        (chain.dataset.CreateBranch, dataset_service_pb2.CreateBranchRequest()),
    ]
    for call, request in calls:
        with pytest.raises(InvalidInput) as refused:
            await call(request)
        assert refused.value.violations


async def test_an_unknown_branch_is_not_found(chain: Chain) -> None:
    job = trainer_pb2.TrainingJob(dataset_version=VERSION, base_model=BASE)
    request = trainer_service_pb2.CreateTrainingJobRequest(
        parent="branches/nobody", training_job=job, request_id=uuid.uuid4().hex
    )
    with pytest.raises(NotFound, match="branches/nobody"):
        await chain.trainer.CreateTrainingJob(request)


async def test_everything_that_a_training_refers_to_in_vain_is_named_together(chain: Chain) -> None:
    job = trainer_pb2.TrainingJob(dataset_version=VERSION, base_model=BASE)
    request = trainer_service_pb2.CreateTrainingJobRequest(parent=BRANCH, training_job=job, request_id=uuid.uuid4().hex)
    with pytest.raises(InvalidInput) as refused:
        await chain.trainer.CreateTrainingJob(request)
    assert fields(refused.value) == {"training_job.dataset_version", "training_job.base_model"}
    listed = await chain.trainer.ListTrainingJobs(trainer_service_pb2.ListTrainingJobsRequest(parent=BRANCH))
    assert not listed.training_jobs, "nothing was created"


async def test_an_unknown_adapter_is_refused_by_evaluator_and_exporter(chain: Chain) -> None:
    adapter = f"{BRANCH}/adapters/99"
    evaluation = evaluator_service_pb2.CreateEvaluationRequest(
        parent=BRANCH, evaluation=evaluator_pb2.Evaluation(adapter=adapter), request_id=uuid.uuid4().hex
    )
    with pytest.raises(InvalidInput, match="adapters/99 does not exist"):
        await chain.evaluator.CreateEvaluation(evaluation)
    export = exporter_service_pb2.CreateExportRequest(
        parent=BRANCH, export=exporter_pb2.Export(adapter=adapter), request_id=uuid.uuid4().hex
    )
    with pytest.raises(InvalidInput, match="adapters/99 does not exist"):
        await chain.exporter.CreateExport(export)


@pytest.mark.parametrize("token", ["nonsense", "W10=", "WyJhIl0=", "WzEsMl0=", "ñ"])
async def test_a_malformed_page_token_is_refused(chain: Chain, token: str) -> None:
    lists: list[tuple[Any, Any]] = [
        (chain.trainer.ListTrainingJobs, trainer_service_pb2.ListTrainingJobsRequest(parent=BRANCH, page_token=token)),
        (chain.trainer.ListAdapters, trainer_service_pb2.ListAdaptersRequest(parent=BRANCH, page_token=token)),
    ]
    for call, request in lists:
        with pytest.raises(InvalidInput) as refused:
            await call(request)
        assert fields(refused.value) == {"page_token"}


async def test_a_page_size_out_of_range_is_refused(chain: Chain) -> None:
    with pytest.raises(InvalidInput) as refused:
        await chain.dataset.ListBranches(dataset_service_pb2.ListBranchesRequest(page_size=501))
    assert fields(refused.value) == {"page_size"}


async def test_a_huge_message_is_refused_and_the_service_answers_the_next_call(chain: Chain) -> None:
    with pytest.raises(LimitExceeded):
        await chain.dataset.CreateBranch(
            dataset_service_pb2.CreateBranchRequest(branch_id="big", display_name="x" * 8_000_000)
        )
    await chain.dataset.GetBranch(dataset_service_pb2.GetBranchRequest(name=BRANCH))


async def test_an_upload_that_breaks_off_or_differs_leaves_nothing(suite: EmbeddedSuite, chain: Chain) -> None:
    header = dataset_service_pb2.ImportDatasetHeader(
        parent=f"{BRANCH}/datasets/roto", request_id=uuid.uuid4().hex, size_bytes=100, sha256="0" * 64
    )

    async def too_short() -> AsyncIterator[dataset_service_pb2.ImportDatasetRequest]:
        yield dataset_service_pb2.ImportDatasetRequest(header=header)
        yield dataset_service_pb2.ImportDatasetRequest(chunk=b"{}\n")

    with pytest.raises(InvalidInput) as refused:
        await chain.dataset.ImportDataset(too_short())
    assert fields(refused.value) == {"header.size_bytes", "header.sha256"}
    assert not suite.files("artifacts/uploads")
    assert not suite.files("uploads")


async def test_an_upload_without_a_header_is_refused(chain: Chain) -> None:
    async def headless() -> AsyncIterator[dataset_service_pb2.ImportDatasetRequest]:
        yield dataset_service_pb2.ImportDatasetRequest(chunk=b"{}\n")

    with pytest.raises(InvalidInput, match="header"):
        await chain.dataset.ImportDataset(headless())


async def test_an_empty_stream_is_refused(chain: Chain) -> None:
    async def nothing() -> AsyncIterator[Any]:
        return
        yield

    with pytest.raises(InvalidInput):
        await chain.dataset.ImportDataset(nothing())
    with pytest.raises(InvalidInput):
        await chain.trainer.ImportBaseModel(nothing())


async def test_invalid_rows_are_listed_with_line_pointer_and_way_out(chain: Chain) -> None:
    good = '{"instruction": "¿Qué es un ñandú?", "output": "Un ave corredora de la pampa."}'
    empty = '{"instruction": "", "output": "Un ave corredora de la pampa."}'
    rows = f"{good}\n{empty}\nnot json\n".encode()
    version = await chain.import_dataset(rows)
    assert version.state == dataset_pb2.DATASET_VERSION_STATE_INVALID
    assert version.problem_count == 2
    request = dataset_service_pb2.ListDatasetProblemsRequest(parent=version.name, page_size=1)
    first = await chain.dataset.ListDatasetProblems(request)
    request.page_token = first.next_page_token
    second = await chain.dataset.ListDatasetProblems(request)
    assert [problem.line for problem in (*first.problems, *second.problems)] == [2, 3]
    assert first.problems[0].pointer == "/instruction"
    assert all(problem.hint for problem in (*first.problems, *second.problems))
    assert not second.next_page_token
    training = trainer_service_pb2.CreateTrainingJobRequest(
        parent=BRANCH,
        training_job=trainer_pb2.TrainingJob(dataset_version=version.name, base_model=BASE),
        request_id=uuid.uuid4().hex,
    )
    with pytest.raises(InvalidInput, match="only READY versions"):
        await chain.trainer.CreateTrainingJob(training)


async def test_the_same_request_id_gives_the_same_resource_and_refuses_other_content(chain: Chain) -> None:
    request_id = uuid.uuid4().hex

    async def upload(row: bytes) -> dataset_pb2.DatasetVersion:
        header = dataset_service_pb2.ImportDatasetHeader(parent=f"{BRANCH}/datasets/igual", request_id=request_id)

        async def messages() -> AsyncIterator[dataset_service_pb2.ImportDatasetRequest]:
            yield dataset_service_pb2.ImportDatasetRequest(header=header)
            yield dataset_service_pb2.ImportDatasetRequest(chunk=row)

        return await chain.dataset.ImportDataset(messages())

    row = b'{"prompt":"a?","completion":"b"}\n'
    assert (await upload(row)).name == (await upload(row)).name
    with pytest.raises(AlreadyExists, match="request_id"):
        await upload(b'{"prompt":"c?","completion":"d"}\n')


async def test_a_model_folder_with_a_pickle_or_without_weights_is_refused(chain: Chain) -> None:
    async def stream(*paths: str) -> AsyncIterator[trainer_service_pb2.ImportBaseModelRequest]:
        header = trainer_service_pb2.ImportBaseModelHeader(model_id="malo")
        yield trainer_service_pb2.ImportBaseModelRequest(header=header)
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        for path in paths:
            yield trainer_service_pb2.ImportBaseModelRequest(
                file=trainer_service_pb2.BaseModelFile(path=path, size_bytes=0, sha256=empty)
            )

    with pytest.raises(InvalidInput, match="safetensors"):
        await chain.trainer.ImportBaseModel(stream("pytorch_model.bin"))
    with pytest.raises(InvalidInput) as refused:
        await chain.trainer.ImportBaseModel(stream("README.md"))
    assert len(refused.value.violations) == 3
    with pytest.raises(InvalidInput):
        await chain.trainer.ImportBaseModel(stream("../../etc/passwd"))


async def test_verbs_on_missing_and_ended_jobs_say_so(chain: Chain) -> None:
    missing = f"{BRANCH}/trainingJobs/nope"
    with pytest.raises(NotFound):
        await chain.trainer.CancelTrainingJob(trainer_service_pb2.CancelTrainingJobRequest(name=missing))
    version = await chain.import_dataset(b"broken\n")
    with pytest.raises(FailedPrecondition, match="cannot be cancelled"):
        await chain.dataset.CancelDatasetImport(dataset_service_pb2.CancelDatasetImportRequest(name=version.name))


async def test_the_wire_carries_code_and_details_that_any_client_understands(suite: EmbeddedSuite) -> None:
    async with grpc.aio.insecure_channel(suite.endpoint("dataset")) as channel:
        call = channel.unary_unary(
            "/fragua.dataset.v1.DatasetService/GetBranch",
            request_serializer=dataset_service_pb2.GetBranchRequest.SerializeToString,
            response_deserializer=dataset_pb2.Branch.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(dataset_service_pb2.GetBranchRequest(name="../../etc"))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    trailers: Any = refused.value.trailing_metadata()
    assert "grpc-status-details-bin" in dict(trailers)
