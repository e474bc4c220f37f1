"""Calls that move files: ready-made outputs in, reports out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.common.v1 import artifact_pb2
from fragua.evaluator.v1 import evaluator_service_pb2
from fragua_evaluator.application.downloads import Downloads
from fragua_evaluator.application.outputs import OutputUploads
from fragua_platform.errors import InvalidInput

Context = grpc.aio.ServicerContext[Any, Any]


class FileCalls:
    _uploads: OutputUploads
    _downloads: Downloads

    async def UploadOutputs(
        self, requests: AsyncIterator[evaluator_service_pb2.UploadOutputsRequest], context: Context
    ) -> evaluator_service_pb2.UploadOutputsResponse:
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("header"):
            raise InvalidInput("the first message of an upload is its header")
        stored = await self._uploads.take(
            first.header.parent.removeprefix("branches/"), first.header.sha256, _chunks(requests)
        )
        outputs = artifact_pb2.Artifact(key=stored.key, size_bytes=stored.size, sha256=stored.sha256)
        return evaluator_service_pb2.UploadOutputsResponse(outputs=outputs)

    async def DownloadEvaluationFile(
        self, request: evaluator_service_pb2.DownloadEvaluationFileRequest, context: Context
    ) -> AsyncIterator[evaluator_service_pb2.DownloadEvaluationFileResponse]:
        async for chunk in self._downloads.read(request.name, request.file, request.offset):
            yield evaluator_service_pb2.DownloadEvaluationFileResponse(chunk=chunk)


async def _chunks(requests: AsyncIterator[evaluator_service_pb2.UploadOutputsRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if not request.HasField("chunk"):
            raise InvalidInput("after its header an upload holds chunks only")
        yield request.chunk
