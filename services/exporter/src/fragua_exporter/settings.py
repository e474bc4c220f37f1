"""Settings of the exporter service; every field is an environment variable `FRAGUA_<FIELD>`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fragua_platform.settings import PlatformSettings


class ExporterSettings(PlatformSettings):
    service_name: ClassVar[str] = "exporter"

    port: int = Field(default=7443, ge=0, le=65535)
    dataset_endpoint: str = "127.0.0.1:7440"
    """Where the dataset service answers."""
    trainer_endpoint: str = "127.0.0.1:7441"
    """Where the trainer service answers."""
    ollama_url: str = Field(default="http://127.0.0.1:11434", pattern=r"^https?://[^/\s]+/?$")
    """The Ollama server that exports are put into."""
    download_link_seconds: int = Field(default=3600, ge=60, le=7 * 24 * 3600)
    """How long a download link works."""
    max_attempts: int = Field(default=5, ge=1, le=100)
    """Attempts that may crash or lose a dependency before a job fails for good."""
