"""Calls about what a branch expects of its examples."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.dataset.v1 import branch_policy_pb2, dataset_service_pb2
from fragua_dataset.api.policy_messages import fields_of_policy, policy_to_message
from fragua_dataset.application.policies import Policies

Context = grpc.aio.ServicerContext[Any, Any]


class PolicyCalls:
    _policies: Policies

    async def GetBranchPolicy(
        self, request: dataset_service_pb2.GetBranchPolicyRequest, context: Context
    ) -> branch_policy_pb2.BranchPolicy:
        return policy_to_message(await self._policies.get(request.name.split("/")[1]))

    async def UpdateBranchPolicy(
        self, request: dataset_service_pb2.UpdateBranchPolicyRequest, context: Context
    ) -> branch_policy_pb2.BranchPolicy:
        asked = request.policy
        kept = await self._policies.update(asked.name.split("/")[1], fields_of_policy(asked), asked.etag)
        return policy_to_message(kept)
