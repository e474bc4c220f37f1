"""What a published folder is made of, as plain data: the manifest that lists its files, and the bundle that pins it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.errors import NotFound


class ManifestFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Path within the folder, as a reader sees it."""
    key: str
    """Key within the store; usually `<prefix>/<name>`."""
    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("name", "key")
    @classmethod
    def _stays_below_its_folder(cls, path: str) -> str:
        if any(segment in ("", ".", "..") for segment in path.split("/")):
            raise ValueError(f"{path!r} is not a relative path of plain segments")
        return path

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(self.key, self.size, self.sha256)


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str
    files: tuple[ManifestFile, ...]
    provenance: dict[str, str] = {}
    """What made this bundle: job, attempt, inputs with their digests."""

    def file(self, name: str) -> ManifestFile:
        for file in self.files:
            if file.name == name:
                return file
        raise NotFound(f"{self.prefix} has no file {name!r}; it has {', '.join(f.name for f in self.files)}")


class Bundle(BaseModel):
    """A manifest together with its own digest, which pins the whole folder."""

    model_config = ConfigDict(frozen=True)

    manifest: Manifest
    manifest_sha256: str

    @property
    def prefix(self) -> str:
        return self.manifest.prefix
