"""The exporter's gRPC service. Each method parses, calls one use case, and answers with the resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2, exporter_service_pb2_grpc
from fragua_exporter.api.messages import export_to_message, order_from_message
from fragua_exporter.api.publish_calls import PublishCalls
from fragua_exporter.application.downloads import Downloads
from fragua_exporter.application.exports import Exports
from fragua_exporter.application.publishing import Publishing
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]


class ExporterServicer(PublishCalls, exporter_service_pb2_grpc.ExporterServiceServicer):
    def __init__(self, desk: JobDesk, exports: Exports, downloads: Downloads, publishing: Publishing) -> None:
        self._desk = desk
        self._exports = exports
        self._downloads = downloads
        self._publishing = publishing

    async def CreateExport(
        self, request: exporter_service_pb2.CreateExportRequest, context: Context
    ) -> exporter_pb2.Export:
        branch = request.parent.removeprefix("branches/")
        order = order_from_message(request.export)
        job = await self._exports.submit(
            branch, order, request_id=request.request_id, validate_only=request.validate_only
        )
        return export_to_message(job)

    async def GetExport(self, request: exporter_service_pb2.GetExportRequest, context: Context) -> exporter_pb2.Export:
        return export_to_message(await self._desk.get(request.name))

    async def ListExports(
        self, request: exporter_service_pb2.ListExportsRequest, context: Context
    ) -> exporter_service_pb2.ListExportsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        jobs = await self._desk.list(request.parent.removeprefix("branches/"), page)
        return exporter_service_pb2.ListExportsResponse(
            exports=[export_to_message(job) for job in jobs.items], next_page_token=jobs.next_token
        )

    async def WatchExport(
        self, request: exporter_service_pb2.WatchExportRequest, context: Context
    ) -> AsyncIterator[exporter_pb2.Export]:
        async for job in self._desk.watch(request.name):
            yield export_to_message(job)

    async def CancelExport(
        self, request: exporter_service_pb2.CancelExportRequest, context: Context
    ) -> exporter_pb2.Export:
        return export_to_message(await self._desk.cancel(request.name))

    async def PauseExport(
        self, request: exporter_service_pb2.PauseExportRequest, context: Context
    ) -> exporter_pb2.Export:
        return export_to_message(await self._desk.pause(request.name))

    async def ResumeExport(
        self, request: exporter_service_pb2.ResumeExportRequest, context: Context
    ) -> exporter_pb2.Export:
        return export_to_message(await self._desk.resume(request.name))

    async def GetExportDownloadUrl(
        self, request: exporter_service_pb2.GetExportDownloadUrlRequest, context: Context
    ) -> exporter_service_pb2.GetExportDownloadUrlResponse:
        url, expires = await self._downloads.link(request.name, request.file)
        return exporter_service_pb2.GetExportDownloadUrlResponse(url=url, expire_time=expires)

    async def DownloadExportFile(
        self, request: exporter_service_pb2.DownloadExportFileRequest, context: Context
    ) -> AsyncIterator[exporter_service_pb2.DownloadExportFileResponse]:
        async for chunk in self._downloads.read(request.name, request.file, request.offset):
            yield exporter_service_pb2.DownloadExportFileResponse(chunk=chunk)
