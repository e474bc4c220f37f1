"""The call that has examples generated."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.api.synthesis_messages import synthesis_from_message
from fragua_dataset.api.version_messages import version_to_message
from fragua_dataset.application.synthesis import Syntheses

Context = grpc.aio.ServicerContext[Any, Any]


class SynthesisCalls:
    _syntheses: Syntheses

    async def SynthesizeDataset(
        self, request: dataset_service_pb2.SynthesizeDatasetRequest, context: Context
    ) -> dataset_pb2.DatasetVersion:
        return version_to_message(await self._syntheses.submit(synthesis_from_message(request), request.request_id))
