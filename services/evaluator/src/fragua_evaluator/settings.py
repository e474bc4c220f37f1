"""Settings of the evaluator service; every field is an environment variable `FRAGUA_<FIELD>`."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from typing import ClassVar

from pydantic import Field, field_validator

from fragua_platform.origins import Origin, allowed_origins
from fragua_platform.settings import PlatformSettings

_KEY_BYTES = 32


class EvaluatorSettings(PlatformSettings):
    service_name: ClassVar[str] = "evaluator"

    port: int = Field(default=7442, ge=0, le=65535)
    dataset_endpoint: str = "127.0.0.1:7440"
    """Where the dataset service answers."""
    trainer_endpoint: str = "127.0.0.1:7441"
    """Where the trainer service answers."""
    exporter_endpoint: str = "127.0.0.1:7443"
    """Where the exporter service answers; asked only for arms that are files of exports."""
    max_attempts: int = Field(default=5, ge=1, le=100)
    """Attempts that may crash or lose a dependency before a job fails for good."""
    max_outputs_bytes: int = Field(default=512 * 1024**2, gt=0)
    """Largest file that `UploadOutputs` takes."""
    evaluation_endpoints: str = ""
    """Language models that an evaluation may ask, with commas between them: `https://api.example.com,http://gpu:8000`."""
    engine_allowed_metrics: str = ""
    """The operator's own functions that may score, with commas between them: a function, its module, or a package.
    API and workers read it: the one refuses early, the other runs nothing else."""
    override_keys: str = ""
    """Who may override a verdict: `name=key` with commas between them, each key an Ed25519 public key in base64."""
    response_cache_mib: int = Field(default=512, ge=0, le=1024 * 1024)
    """Room below `data_dir` of a worker for answers that later evaluations may use again; 0 keeps none."""

    @property
    def allowed_endpoints(self) -> frozenset[Origin]:
        return allowed_origins(self.evaluation_endpoints)

    @property
    def allowed_metrics(self) -> tuple[str, ...]:
        return tuple(entry.strip() for entry in self.engine_allowed_metrics.split(",") if entry.strip())

    @property
    def overriders(self) -> dict[str, bytes]:
        return _overriders(self.override_keys)

    @field_validator("evaluation_endpoints")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        allowed_origins(value)
        return value

    @field_validator("override_keys")
    @classmethod
    def _are_keys(cls, value: str) -> str:
        _overriders(value)
        return value


def _overriders(listed: str) -> dict[str, bytes]:
    keys = {}
    for entry in filter(None, (part.strip() for part in listed.split(","))):
        name, _, text = entry.partition("=")
        try:
            key = b64decode(text, validate=True)
        except NotBase64:
            key = b""
        if not name.strip() or len(key) != _KEY_BYTES:
            raise ValueError(f"the entry of {name.strip() or 'nobody'!r} is not name=key with 32 bytes in base64")
        keys[name.strip()] = key
    return keys
