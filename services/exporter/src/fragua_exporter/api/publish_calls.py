"""The calls that put exports into an Ollama server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.exporter.v1 import exporter_service_pb2
from fragua_exporter.api.messages import publication_to_message, quantization_from_number
from fragua_exporter.application.publishing import Publishing, PublishOrder, PublishProgress

Context = grpc.aio.ServicerContext[Any, Any]


class PublishCalls:
    _publishing: Publishing

    async def PublishToOllama(
        self, request: exporter_service_pb2.PublishToOllamaRequest, context: Context
    ) -> AsyncIterator[exporter_service_pb2.PublishToOllamaResponse]:
        async for progress in self._publishing.publish(_order(request)):
            yield _progress_to_message(progress)


def _order(request: exporter_service_pb2.PublishToOllamaRequest) -> PublishOrder:
    return PublishOrder(
        export=request.name,
        model=request.model,
        tag=request.tag,
        quantization=quantization_from_number(request.quantization) if request.quantization else None,
        dry_run=request.dry_run,
        replace=request.replace,
    )


def _progress_to_message(progress: PublishProgress) -> exporter_service_pb2.PublishToOllamaResponse:
    return exporter_service_pb2.PublishToOllamaResponse(
        phase=progress.phase,
        sent_bytes=progress.sent_bytes,
        total_bytes=progress.total_bytes,
        publication=publication_to_message(progress.publication) if progress.publication else None,
    )
