"""Calls that look at dataset versions while they are made and afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.messages import problem_to_message
from fragua_dataset.api.version_messages import version_to_message
from fragua_dataset.application.versions import Versions
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]


class VersionCalls:
    _versions: Versions

    async def GetDatasetVersion(
        self, request: dataset_service_pb2.GetDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._versions.get(request.name))

    async def ListDatasetVersions(
        self, request: dataset_service_pb2.ListDatasetVersionsRequest, context: Context
    ) -> dataset_service_pb2.ListDatasetVersionsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        versions = await self._versions.list(request.parent, page)
        return dataset_service_pb2.ListDatasetVersionsResponse(
            dataset_versions=[version_to_message(version) for version in versions.items],
            next_page_token=versions.next_token,
        )

    async def ListDatasetProblems(
        self, request: dataset_service_pb2.ListDatasetProblemsRequest, context: Context
    ) -> dataset_service_pb2.ListDatasetProblemsResponse:
        page = page_request(request.page_size, request.page_token, key_length=1)
        found = await self._versions.problems(request.parent)
        start = page.number(0) if page.after else 0
        numbered = list(enumerate(found.problems))[max(start, 0) :][: page.size + 1]
        cut = page.cut(numbered, lambda item: [str(item[0] + 1)])
        return dataset_service_pb2.ListDatasetProblemsResponse(
            problems=[problem_to_message(problem) for _, problem in cut.items],
            next_page_token=cut.next_token,
            count_by_code={code.value: count for code, count in found.problem_counts.items()},
        )

    async def WatchDatasetVersion(
        self, request: dataset_service_pb2.WatchDatasetVersionRequest, context: Context
    ) -> AsyncIterator[dataset_pb2.DatasetVersion]:
        async for version in self._versions.watch(request.name):
            yield version_to_message(version)

    async def CancelDatasetImport(
        self, request: dataset_service_pb2.CancelDatasetImportRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._versions.cancel(request.name))
