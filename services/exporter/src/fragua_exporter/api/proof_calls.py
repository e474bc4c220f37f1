"""The calls that make sure of an export: reading every byte again, and signing it."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.exporter.v1 import exporter_pb2, exporter_service_pb2
from fragua_exporter.api.messages import export_to_message, verification_to_message
from fragua_exporter.application.records import Records
from fragua_exporter.application.signing import Signing
from fragua_exporter.application.verification import Verifications

Context = grpc.aio.ServicerContext[Any, Any]


class ProofCalls:
    _records: Records
    _signing: Signing
    _verifications: Verifications

    async def VerifyExport(
        self, request: exporter_service_pb2.VerifyExportRequest, context: Context
    ) -> exporter_pb2.ExportVerification:
        return verification_to_message(await self._verifications.verify(request.name))

    async def SignExport(
        self, request: exporter_service_pb2.SignExportRequest, context: Context
    ) -> exporter_pb2.Export:
        job = await self._signing.sign(request.name, request.signer, request.public_key, request.signature)
        return export_to_message(await self._records.of(job))
