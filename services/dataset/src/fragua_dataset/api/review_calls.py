"""Calls by which people decide on versions, and make sure of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.version_messages import verification_to_message, version_to_message
from fragua_dataset.application.review import Reviews
from fragua_dataset.application.verification import Verifications
from fragua_dataset.domain.version import Review

Context = grpc.aio.ServicerContext[Any, Any]


class ReviewCalls:
    _reviews: Reviews
    _verifications: Verifications

    async def ApproveDatasetVersion(
        self, request: dataset_service_pb2.ApproveDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._reviews.approve(request.name, _with_sample(request)))

    async def RejectDatasetVersion(
        self, request: dataset_service_pb2.RejectDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._reviews.reject(request.name, _with_sample(request)))

    async def ArchiveDatasetVersion(
        self, request: dataset_service_pb2.ArchiveDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        review = Review(request.reviewer, request.reason, datetime.now(UTC))
        return version_to_message(await self._reviews.archive(request.name, review))

    async def SignDatasetVersion(
        self, request: dataset_service_pb2.SignDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        signed = await self._reviews.sign(request.name, request.signer, request.public_key, request.signature)
        return version_to_message(signed)

    async def VerifyDatasetVersion(
        self, request: dataset_service_pb2.VerifyDatasetVersionRequest, context: Context
    ) -> dataset_pb2.DatasetVerification:
        return verification_to_message(await self._verifications.verify(request.name))


def _with_sample(
    request: dataset_service_pb2.ApproveDatasetVersionRequest | dataset_service_pb2.RejectDatasetVersionRequest,
) -> Review:
    return Review(request.reviewer, request.reason, datetime.now(UTC), request.sample_seed, request.sample_size)
