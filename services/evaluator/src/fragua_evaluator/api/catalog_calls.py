"""Calls that tell what there is to ask with, to score by and to decide by."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.evaluator.v1 import evaluator_service_pb2
from fragua_evaluator.api.messages import metric_to_message, policy_to_message, suite_to_message
from fragua_evaluator.domain.gate_catalog import packaged_policies
from fragua_evaluator.domain.metric_catalog import METRICS
from fragua_evaluator.domain.suite_catalog import packaged_suites

Context = grpc.aio.ServicerContext[Any, Any]


class CatalogCalls:
    async def ListSuites(
        self, request: evaluator_service_pb2.ListSuitesRequest, context: Context
    ) -> evaluator_service_pb2.ListSuitesResponse:
        suites = [suite_to_message(suite) for suite in packaged_suites().values()]
        return evaluator_service_pb2.ListSuitesResponse(suites=suites)

    async def ListMetrics(
        self, request: evaluator_service_pb2.ListMetricsRequest, context: Context
    ) -> evaluator_service_pb2.ListMetricsResponse:
        metrics = [metric_to_message(metric) for metric in METRICS.values()]
        return evaluator_service_pb2.ListMetricsResponse(metrics=metrics)

    async def ListGatePolicies(
        self, request: evaluator_service_pb2.ListGatePoliciesRequest, context: Context
    ) -> evaluator_service_pb2.ListGatePoliciesResponse:
        policies = [policy_to_message(policy) for policy in packaged_policies().values()]
        return evaluator_service_pb2.ListGatePoliciesResponse(policies=policies)
