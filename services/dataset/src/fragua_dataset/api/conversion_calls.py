"""Calls that write versions for other programs, and hand out files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.application.conversions import Conversions, bundle_of
from fragua_dataset.application.downloads import Downloads
from fragua_dataset.domain.conversion import ConversionFormat, ConversionOrder
from fragua_platform.jobs.events import status_to_message
from fragua_platform.jobs.job import Job
from fragua_platform.messages import bundle_to_message
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]

_FORMATS: Final = {
    dataset_pb2.CONVERSION_FORMAT_CHAT_JSONL: ConversionFormat.CHAT_JSONL,
    dataset_pb2.CONVERSION_FORMAT_ALPACA: ConversionFormat.ALPACA,
    dataset_pb2.CONVERSION_FORMAT_PARQUET: ConversionFormat.PARQUET,
    dataset_pb2.CONVERSION_FORMAT_HF_FOLDER: ConversionFormat.HF_FOLDER,
}


class ConversionCalls:
    _conversions: Conversions
    _downloads: Downloads

    async def ConvertDatasetVersion(
        self, request: dataset_service_pb2.ConvertDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetConversion:
        return _conversion_to_message(await self._conversions.submit(request.name, _FORMATS[request.format]))

    async def GetDatasetConversion(
        self, request: dataset_service_pb2.GetDatasetConversionRequest, context: Context
    ) -> dataset_pb2.DatasetConversion:
        return _conversion_to_message(await self._conversions.get(request.name))

    async def ListDatasetConversions(
        self, request: dataset_service_pb2.ListDatasetConversionsRequest, context: Context
    ) -> dataset_service_pb2.ListDatasetConversionsResponse:
        found = await self._conversions.list(
            request.parent, page_request(request.page_size, request.page_token, key_length=2)
        )
        return dataset_service_pb2.ListDatasetConversionsResponse(
            dataset_conversions=[_conversion_to_message(job) for job in found.items], next_page_token=found.next_token
        )

    async def CancelDatasetConversion(
        self, request: dataset_service_pb2.CancelDatasetConversionRequest, context: Context
    ) -> dataset_pb2.DatasetConversion:
        return _conversion_to_message(await self._conversions.cancel(request.name))

    async def WatchDatasetConversion(
        self, request: dataset_service_pb2.WatchDatasetConversionRequest, context: Context
    ) -> AsyncIterator[dataset_pb2.DatasetConversion]:
        async for job in self._conversions.watch(request.name):
            yield _conversion_to_message(job)

    async def DownloadDatasetFile(
        self, request: dataset_service_pb2.DownloadDatasetFileRequest, context: Context
    ) -> AsyncIterator[dataset_service_pb2.DownloadDatasetFileResponse]:
        file = await self._downloads.find(request.name, request.path, request.offset)
        yield dataset_service_pb2.DownloadDatasetFileResponse(size_bytes=file.size, sha256=file.sha256)
        async for chunk in self._downloads.read(file, request.offset):
            yield dataset_service_pb2.DownloadDatasetFileResponse(chunk=chunk)


def _conversion_to_message(job: Job) -> dataset_pb2.DatasetConversion:
    order, bundle = ConversionOrder.model_validate(job.spec), bundle_of(job)
    return dataset_pb2.DatasetConversion(
        name=job.name,
        format=next(number for number, each in _FORMATS.items() if each is order.spec.format),
        status=status_to_message(job),
        bundle=bundle_to_message(bundle) if bundle else None,
    )
