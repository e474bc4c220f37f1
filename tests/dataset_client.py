"""The dataset service as tests call it: send rows, wait for what becomes of them, read the files of a version."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path
from typing import Any

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from fragua_platform.grpc.client import open_channel


class DatasetClient:
    def __init__(self, endpoint: str, artifacts: Path, branch: str) -> None:
        self._channel = open_channel(endpoint)
        self._artifacts = artifacts
        self.branch = f"branches/{branch}"
        self.stub = dataset_service_pb2_grpc.DatasetServiceStub(self._channel)

    async def close(self) -> None:
        await self._channel.close(None)

    async def create_branch(self) -> None:
        name = self.branch.removeprefix("branches/")
        await self.stub.CreateBranch(dataset_service_pb2.CreateBranchRequest(branch_id=name))

    async def import_rows(
        self, dataset: str, rows: Iterable[dict[str, Any]] | bytes, *, request_id: str = "", **options: Any
    ) -> dataset_pb2.DatasetVersion:
        """A version that has left VALIDATING."""
        content = rows if isinstance(rows, bytes) else jsonl(rows)
        header = dataset_service_pb2.ImportDatasetHeader(
            parent=f"{self.branch}/datasets/{dataset}",
            request_id=request_id or new_request_id(),
            filename=f"{dataset}.jsonl",
            sha256=hashlib.sha256(content).hexdigest(),
            options=dataset_pb2.ImportOptions(**options),
        )

        async def messages() -> AsyncIterator[dataset_service_pb2.ImportDatasetRequest]:
            yield dataset_service_pb2.ImportDatasetRequest(header=header)
            for begin in range(0, len(content), 2**19):
                yield dataset_service_pb2.ImportDatasetRequest(chunk=content[begin : begin + 2**19])

        return await self.made(self.stub.ImportDataset(messages()))

    async def made(self, call: Awaitable[dataset_pb2.DatasetVersion]) -> dataset_pb2.DatasetVersion:
        """What becomes of the version that a call orders."""
        request = dataset_service_pb2.WatchDatasetVersionRequest(name=(await call).name)
        return [version async for version in self.stub.WatchDatasetVersion(request)][-1]

    async def get(self, name: str) -> dataset_pb2.DatasetVersion:
        return await self.stub.GetDatasetVersion(dataset_service_pb2.GetDatasetVersionRequest(name=name))

    async def problems(self, version: dataset_pb2.DatasetVersion) -> list[dataset_pb2.DatasetProblem]:
        request = dataset_service_pb2.ListDatasetProblemsRequest(parent=version.name)
        return list((await self.stub.ListDatasetProblems(request)).problems)

    def stored(self, version: dataset_pb2.DatasetVersion, name: str) -> Path:
        """A file of the version, where the embedded store keeps it."""
        (key,) = [file.key for file in version.bundle.files if file.key.endswith(f"/{name}")]
        return self._artifacts / key

    def rows(self, version: dataset_pb2.DatasetVersion, side: str = "train") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stored(version, f"{side}.jsonl").read_text("utf-8").splitlines()]


def jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def new_request_id() -> str:
    return uuid.uuid4().hex


def state_of(version: dataset_pb2.DatasetVersion) -> str:
    return dataset_pb2.DatasetVersionState.Name(version.state).removeprefix("DATASET_VERSION_STATE_")
