"""Settings of the trainer service; every field is an environment variable `FRAGUA_<FIELD>`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fragua_platform.settings import PlatformSettings


class TrainerSettings(PlatformSettings):
    service_name: ClassVar[str] = "trainer"

    port: int = Field(default=7441, ge=0, le=65535)
    dataset_endpoint: str = "127.0.0.1:7440"
    """Where the dataset service answers."""
    max_base_model_bytes: int = Field(default=64 * 1024**3, gt=0)
    """Largest base model that `ImportBaseModel` takes."""
    max_estimate_seconds: int = Field(default=600, gt=0, le=86_400)
    """How long `EstimateTrainingJob` may take, with fetching the inputs and waiting for other estimates."""
    hub_endpoint: str = ""
    """Where `MirrorBaseModel` fetches models; the Hugging Face hub, or that of `HF_ENDPOINT`, when empty."""
    mlflow_tracking_uri: str = Field("", repr=False, pattern="^(https?://.+)?$")
    """An MLflow server on which trainings are shown as runs: `https://[user:password@]host[/path]`; none when empty."""
    max_attempts: int = Field(default=5, ge=1, le=100)
    """Attempts that may crash or lose a dependency before a job fails for good."""
