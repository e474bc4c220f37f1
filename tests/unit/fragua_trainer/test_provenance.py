"""Which code an adapter says that it was made by."""

import re
from pathlib import Path

import pytest

from fragua_trainer.training import provenance


def test_an_image_says_which_commit_it_was_built_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_COMMIT", "4f2c")

    assert provenance.repository_commit() == "4f2c"


# R116
def test_a_checkout_says_its_commit_and_whether_it_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAGUA_COMMIT", raising=False)
    if not (provenance.CHECKOUT / ".git").exists():
        pytest.skip("the tests run without their repository")

    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", provenance.repository_commit())


def test_an_installed_package_admits_that_it_does_not_know(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FRAGUA_COMMIT", raising=False)
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)

    assert provenance.repository_commit() == "unknown"
