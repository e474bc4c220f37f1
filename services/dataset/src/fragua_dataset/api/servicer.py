"""The dataset service over gRPC. Each method parses, calls one use case, and answers with the resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from fragua_dataset.api.messages import (
    branch_to_message,
    import_from_header,
    problem_to_message,
    version_to_message,
)
from fragua_dataset.application import BranchDirectory, Datasets
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]


class DatasetServicer(dataset_service_pb2_grpc.DatasetServiceServicer):
    def __init__(self, branches: BranchDirectory, datasets: Datasets, desk: JobDesk) -> None:
        self._branches = branches
        self._datasets = datasets
        self._desk = desk

    # --- branches

    async def CreateBranch(
        self, request: dataset_service_pb2.CreateBranchRequest, context: Context
    ) -> dataset_pb2.Branch:
        return branch_to_message(await self._branches.create(request.branch_id, request.display_name))

    async def GetBranch(self, request: dataset_service_pb2.GetBranchRequest, context: Context) -> dataset_pb2.Branch:
        return branch_to_message(await self._branches.get(request.name.removeprefix("branches/")))

    async def ListBranches(
        self, request: dataset_service_pb2.ListBranchesRequest, context: Context
    ) -> dataset_service_pb2.ListBranchesResponse:
        page = await self._branches.list(page_request(request.page_size, request.page_token, key_length=1))
        return dataset_service_pb2.ListBranchesResponse(
            branches=[branch_to_message(branch) for branch in page.items], next_page_token=page.next_token
        )

    # --- dataset versions

    async def ImportDataset(
        self, request_iterator: AsyncIterator[dataset_service_pb2.ImportDatasetRequest], context: Context
    ) -> dataset_pb2.DatasetVersion:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("payload") != "header":
            raise InvalidInput("no header", violations=[Violation("header", "must be the first message of the stream")])
        job = await self._datasets.import_file(import_from_header(first.header), _chunks(request_iterator))
        return version_to_message(job)

    async def GetDatasetVersion(
        self, request: dataset_service_pb2.GetDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._desk.get(request.name))

    async def ListDatasetVersions(
        self, request: dataset_service_pb2.ListDatasetVersionsRequest, context: Context
    ) -> dataset_service_pb2.ListDatasetVersionsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        jobs = await self._datasets.list(request.parent, page)
        return dataset_service_pb2.ListDatasetVersionsResponse(
            dataset_versions=[version_to_message(job) for job in jobs.items], next_page_token=jobs.next_token
        )

    async def ListDatasetProblems(
        self, request: dataset_service_pb2.ListDatasetProblemsRequest, context: Context
    ) -> dataset_service_pb2.ListDatasetProblemsResponse:
        page = page_request(request.page_size, request.page_token, key_length=1)
        report = await self._datasets.report(await self._desk.get(request.parent))
        start = page.number(0) if page.after else 0
        numbered = list(enumerate(report.problems))[max(start, 0) :][: page.size + 1]
        cut = page.cut(numbered, lambda item: [str(item[0] + 1)])
        return dataset_service_pb2.ListDatasetProblemsResponse(
            problems=[problem_to_message(problem) for _, problem in cut.items],
            next_page_token=cut.next_token,
            count_by_code={code.value: count for code, count in report.problem_counts.items()},
        )

    async def WatchDatasetVersion(
        self, request: dataset_service_pb2.WatchDatasetVersionRequest, context: Context
    ) -> AsyncIterator[dataset_pb2.DatasetVersion]:
        async for job in self._desk.watch(request.name):
            yield version_to_message(job)

    async def CancelDatasetImport(
        self, request: dataset_service_pb2.CancelDatasetImportRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._desk.cancel(request.name))


async def _chunks(requests: AsyncIterator[dataset_service_pb2.ImportDatasetRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("payload") != "chunk":
            raise InvalidInput("two headers", violations=[Violation("header", "must come once, first")])
        yield request.chunk
