"""An Ollama server over its HTTP API: blobs by digest, models made of them, and what it has."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from fragua_exporter.application.publishing import ShownModel
from fragua_exporter.domain.modelfile import Modelfile
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.errors import FailedPrecondition, FraguaError, InvalidInput, Unavailable

_OLDEST: Final = (0, 5, 5)
"""The first version whose /api/create takes files, template, system and parameters as fields."""

_WORK_TIMES: Final = 10
"""Hashing a blob and making a model may be silent for so many times as long as a plain answer."""


class Ollama:
    """Implements `OllamaServer` of the application."""

    def __init__(self, url: str, *, patience_seconds: float = 60.0) -> None:
        """`patience_seconds` is how long the server may be silent, or take no bytes, before it counts as away."""
        self._url = url.rstrip("/")
        self._patience = patience_seconds
        # Authorities take a tenth of a second to load, so they are loaded once, and only where they are asked.
        self._tls: ssl.SSLContext | bool = ssl.create_default_context() if self._url.startswith("https:") else False

    async def require_version(self) -> None:
        answer = await self._call("GET", "/api/version")
        version = str(answer.get("version", ""))
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
        # Builds of the source tree call themselves 0.0.0.
        if numbers and (0, 0, 0) < tuple(map(int, numbers.groups())) < _OLDEST:
            raise FailedPrecondition(
                f"Ollama at {self._url} is version {version}, which cannot be given files; "
                f"upgrade it to {'.'.join(map(str, _OLDEST))} or later",
                reason="OLLAMA_TOO_OLD",
            )

    async def models(self) -> Mapping[str, str]:
        answer = await self._call("GET", "/api/tags")
        return {str(model["name"]): str(model["digest"]) for model in answer.get("models") or ()}

    async def has_blob(self, sha256: str) -> bool:
        async with self._client() as client:
            answer = await client.head(f"/api/blobs/sha256:{sha256}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                return False
            await self._require_success(answer)
            return True

    async def send_blob(self, ref: ArtifactRef, content: AsyncIterator[bytes]) -> None:
        async with self._client(_WORK_TIMES) as client:
            answer = await client.post(
                f"/api/blobs/sha256:{ref.sha256}", content=content, headers={"Content-Length": str(ref.size)}
            )
            await self._require_success(answer)

    async def create(self, name: str, modelfile: Modelfile, sha256: str) -> AsyncIterator[str]:
        request = {
            "model": name,
            "files": {modelfile.file: f"sha256:{sha256}"},
            "template": modelfile.template,
            "system": modelfile.system,
            "parameters": {**modelfile.parameters, "stop": list(modelfile.stops)},
            "license": modelfile.license,
            "stream": True,
        }
        given = {key: value for key, value in request.items() if value != ""}
        status = ""
        async with self._client(_WORK_TIMES) as client, client.stream("POST", "/api/create", json=given) as answer:
            await self._require_success(answer)
            async for line in answer.aiter_lines():
                if not line.strip():
                    continue
                news = self._object(line)
                if "error" in news:
                    raise self._refusal(int(news.get("status") or httpx.codes.INTERNAL_SERVER_ERROR), news["error"])
                status = str(news.get("status", ""))
                yield status
        if status != "success":
            raise Unavailable(
                f"Ollama at {self._url} broke off while it created {name}, after {status!r}; publish it again"
            )

    async def show(self, name: str) -> ShownModel:
        answer = await self._call("POST", "/api/show", {"model": name})
        return ShownModel(template=str(answer.get("template", "")), system=str(answer.get("system", "")))

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        async with self._client() as client:
            answer = await client.request(method, path, json=body)
            await self._require_success(answer)
            return self._object(answer.text)

    @asynccontextmanager
    async def _client(self, silence: int = 1) -> AsyncIterator[httpx.AsyncClient]:
        timeout = httpx.Timeout(self._patience, connect=min(5.0, self._patience), read=self._patience * silence)
        try:
            # The address is the operator's own choice: proxies for the internet are no way to it.
            async with httpx.AsyncClient(
                base_url=self._url, timeout=timeout, trust_env=False, verify=self._tls
            ) as client:
                yield client
        except httpx.ConnectError as away:
            raise Unavailable(
                f"no Ollama answers at {self._url}; start it with `ollama serve`, or set FRAGUA_OLLAMA_URL",
                reason="OLLAMA_AWAY",
            ) from away
        except httpx.TimeoutException as silent:
            raise Unavailable(f"Ollama at {self._url} fell silent; try again", reason="OLLAMA_AWAY") from silent
        except httpx.TransportError as broken:
            raise Unavailable(
                f"Ollama at {self._url} broke off the connection ({broken}); try again", reason="OLLAMA_AWAY"
            ) from broken

    async def _require_success(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        body = (await answer.aread()).decode("utf-8", "replace")
        try:
            problem = str(json.loads(body)["error"])
        except (ValueError, RecursionError, KeyError, TypeError):
            problem = body.strip()[:200] or answer.reason_phrase
        raise self._refusal(answer.status_code, problem)

    def _refusal(self, status: int, problem: str) -> FraguaError:
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return Unavailable(f"Ollama at {self._url} failed with status {status}: {problem}")
        return InvalidInput(f"Ollama at {self._url} refused with status {status}: {problem}", reason="OLLAMA_REFUSED")

    def _object(self, text: str) -> dict[str, Any]:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise InvalidInput(
                f"what answers at {self._url} is no Ollama server: it says {text[:80]!r}; set FRAGUA_OLLAMA_URL",
                reason="OLLAMA_REFUSED",
            )
        return document
