"""Calls that look into versions: rows, samples, audits, differences."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.row_messages import audit_to_message, diff_to_message, row_to_message, side_from_message
from fragua_dataset.application.diffs import Diffs
from fragua_dataset.application.rows import Rows
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]


class RowCalls:
    _rows: Rows
    _diffs: Diffs

    async def ListDatasetRows(
        self, request: dataset_service_pb2.ListDatasetRowsRequest, context: Context
    ) -> dataset_service_pb2.ListDatasetRowsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        rows = await self._rows.list(request.parent, side_from_message(request.side), page)
        return dataset_service_pb2.ListDatasetRowsResponse(
            rows=[row_to_message(row) for row in rows.items], next_page_token=rows.next_token
        )

    async def SampleDatasetRows(
        self, request: dataset_service_pb2.SampleDatasetRowsRequest, context: Context
    ) -> dataset_service_pb2.SampleDatasetRowsResponse:
        rows = await self._rows.sample(request.name, request.size, request.seed)
        return dataset_service_pb2.SampleDatasetRowsResponse(
            rows=[row_to_message(row) for row in rows], seed=request.seed
        )

    async def GetDatasetAudit(
        self, request: dataset_service_pb2.GetDatasetAuditRequest, context: Context
    ) -> dataset_pb2.DatasetAudit:
        return audit_to_message(await self._rows.audit(request.name, side_from_message(request.side)))

    async def DiffDatasetVersions(
        self, request: dataset_service_pb2.DiffDatasetVersionsRequest, context: Context
    ) -> dataset_service_pb2.DiffDatasetVersionsResponse:
        page = page_request(request.page_size, request.page_token, key_length=1)
        return diff_to_message(await self._diffs.page(request.base, request.target, page))
