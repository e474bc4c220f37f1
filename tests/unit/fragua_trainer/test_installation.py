"""Whether what is installed is what the service was made for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from fragua_trainer.training.installation import WrongInstallation, refuse_wrong_installation


# R86, R87
def test_every_library_that_is_missing_or_too_old_is_named() -> None:
    def outdated(name: str) -> str:
        if name in ("safetensors", "bitsandbytes"):
            raise PackageNotFoundError(name)
        return "0.6.0" if name == "peft" else version(name)

    refuse_wrong_installation()
    with pytest.raises(WrongInstallation) as refused:
        refuse_wrong_installation(version_of=outdated)

    told = {violation.field: violation.description for violation in refused.value.violations}
    assert told.keys() == {"safetensors", "peft"}  # and not what a run can do without
    assert told["peft"] == "is 0.6.0, >=0.21 is needed"
    assert "make setup" in refused.value.message
