"""Calls about branches."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.messages import branch_to_message
from fragua_dataset.application.branches import BranchDirectory
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]


class BranchCalls:
    _branches: BranchDirectory

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
