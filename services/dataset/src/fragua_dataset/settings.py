"""Settings of the dataset service; every field is an environment variable `FRAGUA_<FIELD>`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, ValidationInfo, field_validator

from fragua_dataset.domain.synthesis_order import SynthesisPermissions
from fragua_platform.settings import PlatformSettings


class DatasetSettings(PlatformSettings):
    service_name: ClassVar[str] = "dataset"

    port: int = Field(default=7440, ge=0, le=65535)
    max_upload_bytes: int = Field(default=8 * 1024**3, gt=0)
    """Largest file that `ImportDataset` and `ImportDatasetObject` take."""
    import_prefixes: str = "incoming/"
    """Folders of the artifact store, with commas between them, whose objects `ImportDatasetObject` takes."""
    max_attempts: int = Field(default=5, ge=1, le=100)
    """Attempts that may crash or lose a dependency before a job fails for good."""
    max_counterparts: int = Field(default=50, ge=0, le=256)
    """Versions of other datasets of a branch that a new version is compared with."""
    max_counterpart_bytes: int = Field(default=2 * 1024**3, ge=0)
    """Their size together; those to evaluate with come first, then the newest."""
    max_row_file_bytes: int = Field(default=4 * 1024**3, ge=0)
    """Room below `data_dir` for the rows of versions that somebody looks into; one larger version is held all the same."""
    synthesis_endpoints: str = ""
    """Language models that a synthesis may ask, with commas between them: `https://api.example.com,http://gpu:8000`."""
    synthesis_metrics: str = ""
    """Functions that a synthesis may score with, with commas between them: `our_metrics:clarity`."""

    @property
    def import_folders(self) -> tuple[str, ...]:
        return tuple(folder.strip() for folder in self.import_prefixes.split(","))

    @property
    def synthesis_permissions(self) -> SynthesisPermissions:
        return SynthesisPermissions.parse(self.synthesis_endpoints, self.synthesis_metrics)

    @field_validator("synthesis_endpoints", "synthesis_metrics")
    @classmethod
    def _permissions(cls, value: str, info: ValidationInfo) -> str:
        SynthesisPermissions.parse(**{"endpoints": "", "metrics": "", str(info.field_name).split("_")[1]: value})
        return value
