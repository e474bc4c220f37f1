from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import structlog
from typer.testing import CliRunner, Result

from fragua_cli.__main__ import app
from tests.unit.fragua_cli.suite_double import SuiteDouble

Fragua = Callable[..., Result]


@pytest.fixture
def suite() -> Iterator[SuiteDouble]:
    # The servers share stdout with the command under test, and what that prints is looked at.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    double = SuiteDouble()
    with double.serving():
        yield double
    structlog.reset_defaults()


@pytest.fixture
def fragua(suite: SuiteDouble, monkeypatch: pytest.MonkeyPatch) -> Fragua:
    """Runs a command line against the suite."""
    monkeypatch.setenv("FRAGUA_ENDPOINT", suite.endpoint)
    monkeypatch.delenv("COLUMNS", raising=False)  # what runs tests side by side sets it

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run
