"""Calls that make new versions from others."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.order_messages import (
    filter_from_message,
    fix_from_message,
    merge_from_message,
    split_from_message,
)
from fragua_dataset.api.version_messages import version_to_message
from fragua_dataset.application.derivations import Derivations

Context = grpc.aio.ServicerContext[Any, Any]


class DerivationCalls:
    _derivations: Derivations

    async def FixDatasetVersion(
        self, request: dataset_service_pb2.FixDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._derivations.fix(fix_from_message(request), request.request_id))

    async def FilterDatasetVersion(
        self, request: dataset_service_pb2.FilterDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._derivations.filter(filter_from_message(request), request.request_id))

    async def SplitDatasetVersion(
        self, request: dataset_service_pb2.SplitDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._derivations.split(split_from_message(request), request.request_id))

    async def MergeDatasetVersions(
        self, request: dataset_service_pb2.MergeDatasetVersionsRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._derivations.merge(merge_from_message(request), request.request_id))
