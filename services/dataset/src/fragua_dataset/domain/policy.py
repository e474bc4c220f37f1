"""What a branch expects of its examples. Thresholds are data: the packaged policy is `policies/default.yaml`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.profile import Name

PublicKey = Annotated[bytes, Field(min_length=32, max_length=32)]
KeyOwner = Annotated[str, Field(min_length=1, max_length=120)]


class BranchPolicy(BaseModel):
    # Keys are base64 wherever a policy is written down.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    min_attempt_accuracy: float = Field(ge=0, le=1)
    """Attempts of at least this accuracy become samples."""
    min_rating: int = Field(ge=1, le=5)
    """Outputs with at least so many stars go to the branch's pool."""
    requires_approval: bool
    """A valid version waits for somebody to approve it."""
    sample_size: int = Field(ge=1, le=500)
    """Rows that a reviewer is shown."""
    personal_data: Literal["allow", "warn", "refuse"]
    """What becomes of rows in which secrets or personal data are found."""
    profile: Name
    """Of imports that name none."""
    consolidation_schedule: str = Field(max_length=100)
    """When samples are gathered into versions: five fields of cron, in UTC; never when empty."""
    trusted_keys: dict[KeyOwner, PublicKey] = Field(max_length=32)
    """Ed25519 public keys whose signatures count."""


@dataclass(frozen=True)
class KeptPolicy:
    """A branch's policy as it stands now."""

    branch: str
    policy: BranchPolicy
    schedule_since: datetime
    """Points of the consolidation schedule count from here on."""
    updated: datetime | None = None
    """None: nobody changed the packaged one."""

    @property
    def name(self) -> str:
        return f"branches/{self.branch}/policy"

    @property
    def etag(self) -> str:
        """Changes with every update, also with one that changes back."""
        moment = self.updated.isoformat() if self.updated else ""
        return hashlib.sha256(f"{self.policy.model_dump_json()}{moment}".encode()).hexdigest()[:32]
