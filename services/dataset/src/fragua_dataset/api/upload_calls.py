"""Calls that bring files in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.order_messages import announcement_from_header, import_from_header, import_from_object
from fragua_dataset.api.version_messages import version_to_message
from fragua_dataset.application.imports import Imports
from fragua_platform.errors import InvalidInput, Violation

Context = grpc.aio.ServicerContext[Any, Any]


class UploadCalls:
    _imports: Imports

    async def ImportDataset(
        self, request_iterator: AsyncIterator[dataset_service_pb2.ImportDatasetRequest], context: Context
    ) -> dataset_pb2.DatasetVersion:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("payload") != "header":
            raise InvalidInput("no header", violations=[Violation("header", "must be the first message of the stream")])
        header = first.header
        version = await self._imports.import_stream(
            import_from_header(header), announcement_from_header(header), _chunks(request_iterator)
        )
        return version_to_message(version)

    async def GetUpload(
        self, request: dataset_service_pb2.GetUploadRequest, context: Context
    ) -> dataset_service_pb2.Upload:
        kept = await self._imports.kept_upload(request.parent, request.request_id)
        return dataset_service_pb2.Upload(received_bytes=kept.received_bytes, expire_time=kept.expires)

    async def ImportDatasetObject(
        self, request: dataset_service_pb2.ImportDatasetObjectRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        version = await self._imports.import_object(import_from_object(request), request.object_uri, request.sha256)
        return version_to_message(version)


async def _chunks(requests: AsyncIterator[dataset_service_pb2.ImportDatasetRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("payload") != "chunk":
            raise InvalidInput("two headers", violations=[Violation("header", "must come once, first")])
        yield request.chunk
