"""The exporter's gRPC service. Each method parses, calls one use case, and answers with the resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2, exporter_service_pb2_grpc
from fragua_exporter.api.messages import estimate_to_message, export_to_message, order_from_message
from fragua_exporter.api.proof_calls import ProofCalls
from fragua_exporter.api.publish_calls import PublishCalls
from fragua_exporter.application.downloads import Downloads
from fragua_exporter.application.estimates import Estimates
from fragua_exporter.application.exports import Exports
from fragua_exporter.application.publishing import Publishing
from fragua_exporter.application.records import Records
from fragua_exporter.application.signing import Signing
from fragua_exporter.application.verification import Verifications
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]


class ExporterServicer(ProofCalls, PublishCalls, exporter_service_pb2_grpc.ExporterServiceServicer):
    def __init__(
        self,
        desk: JobDesk,
        records: Records,
        exports: Exports,
        estimates: Estimates,
        downloads: Downloads,
        signing: Signing,
        verifications: Verifications,
        publishing: Publishing,
    ) -> None:
        self._desk = desk
        self._records = records
        self._exports = exports
        self._estimates = estimates
        self._downloads = downloads
        self._signing = signing
        self._verifications = verifications
        self._publishing = publishing

    async def CreateExport(
        self, request: exporter_service_pb2.CreateExportRequest, context: Context
    ) -> exporter_pb2.Export:
        branch = request.parent.removeprefix("branches/")
        order = order_from_message(request.export)
        job = await self._exports.submit(
            branch, order, request_id=request.request_id, validate_only=request.validate_only
        )
        return await self._answer(job)

    async def EstimateExport(
        self, request: exporter_service_pb2.EstimateExportRequest, context: Context
    ) -> exporter_pb2.ExportEstimate:
        branch = request.parent.removeprefix("branches/")
        found, machine = await self._estimates.estimate(branch, order_from_message(request.export))
        return estimate_to_message(found, machine)

    async def GetExport(self, request: exporter_service_pb2.GetExportRequest, context: Context) -> exporter_pb2.Export:
        return await self._answer(await self._desk.get(request.name))

    async def ListExports(
        self, request: exporter_service_pb2.ListExportsRequest, context: Context
    ) -> exporter_service_pb2.ListExportsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        jobs = await self._desk.list(request.parent.removeprefix("branches/"), page)
        return exporter_service_pb2.ListExportsResponse(
            exports=[export_to_message(record) for record in await self._records.of_all(jobs.items)],
            next_page_token=jobs.next_token,
        )

    async def WatchExport(
        self, request: exporter_service_pb2.WatchExportRequest, context: Context
    ) -> AsyncIterator[exporter_pb2.Export]:
        async for job in self._desk.watch(request.name):
            yield await self._answer(job)

    async def CancelExport(
        self, request: exporter_service_pb2.CancelExportRequest, context: Context
    ) -> exporter_pb2.Export:
        return await self._answer(await self._desk.cancel(request.name))

    async def PauseExport(
        self, request: exporter_service_pb2.PauseExportRequest, context: Context
    ) -> exporter_pb2.Export:
        return await self._answer(await self._desk.pause(request.name))

    async def ResumeExport(
        self, request: exporter_service_pb2.ResumeExportRequest, context: Context
    ) -> exporter_pb2.Export:
        return await self._answer(await self._desk.resume(request.name))

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

    async def _answer(self, job: Job) -> exporter_pb2.Export:
        return export_to_message(await self._records.of(job))
