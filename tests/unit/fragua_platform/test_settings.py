"""Settings come from the environment, tell all their problems at once and keep secrets to themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr, ValidationError

from fragua_platform.errors import InvalidInput
from fragua_platform.grpc.tls import ServerTls
from fragua_platform.settings import PlatformSettings

POSTGRES = "postgresql+psycopg://fragua:{password}@db:5432/fragua"


class ForgeSettings(PlatformSettings):
    service_name: ClassVar[str] = "forge"
    port: int = Field(7440, ge=0, le=65535)
    hub_token: SecretStr = SecretStr("")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FRAGUA_")]:
        monkeypatch.delenv(name)


def problems(invalid: pytest.ExceptionInfo[InvalidInput]) -> dict[str, str]:
    return {violation.field: violation.description for violation in invalid.value.violations}


def test_without_any_variable_everything_is_embedded_below_the_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ForgeSettings.load()
    assert settings.data_dir == tmp_path / ".fragua"
    assert settings.database_url == f"sqlite:///{tmp_path}/.fragua/forge.db"
    assert settings.artifacts_url == f"file://{tmp_path}/.fragua/artifacts"
    assert settings.events_url == "memory://"
    assert (settings.host, settings.port) == ("127.0.0.1", 7440)


def test_variables_override_the_defaults_and_empty_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_PORT", "9000")
    monkeypatch.setenv("FRAGUA_LOG_LEVEL", "debug")
    monkeypatch.setenv("FRAGUA_EVENTS_URL", "")
    settings = ForgeSettings.load()
    assert (settings.port, settings.log_level, settings.events_url) == (9000, "DEBUG", "memory://")
    assert ForgeSettings.load(port=0).port == 0


def test_all_problems_are_told_together_by_variable_and_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_ENVIRONMENT", "production")
    monkeypatch.setenv("FRAGUA_DATABASE_URL", POSTGRES.format(password="change-me-postgres"))
    monkeypatch.setenv("FRAGUA_EVENTS_URL", "s3creto-without-scheme")
    monkeypatch.setenv("FRAGUA_PORT", "70000")
    monkeypatch.setenv("FRAGUA_TLS_KEY_FILE", __file__)
    with pytest.raises(InvalidInput) as invalid:
        ForgeSettings.load()
    expected = {"FRAGUA_DATABASE_URL", "FRAGUA_EVENTS_URL", "FRAGUA_PORT", "FRAGUA_TLS_KEY_FILE"}
    assert problems(invalid).keys() == expected
    for value in ("change-me-postgres", "s3creto", "70000"):
        assert value not in str(invalid.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAGUA_DATABASE_URL", POSTGRES.format(password="change-me")),
        ("FRAGUA_DATABASE_URL", POSTGRES.format(password="Change%2Dme")),
        ("FRAGUA_EVENTS_URL", "nats://fragua:change-me-nats@nats:4222"),
        ("FRAGUA_ARTIFACTS_SECRET_KEY", "minioadmin"),
        ("FRAGUA_HUB_TOKEN", "change-me-hub"),
    ],
)
def test_a_published_password_is_refused_outside_of_dev(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert ForgeSettings.load()
    monkeypatch.setenv("FRAGUA_ENVIRONMENT", "production")
    with pytest.raises(InvalidInput) as invalid:
        ForgeSettings.load()
    assert "published example password" in problems(invalid)[variable]


def test_a_misspelt_environment_counts_as_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_ENVIRONMENT", "prod")
    monkeypatch.setenv("FRAGUA_ARTIFACTS_SECRET_KEY", "change-me")
    with pytest.raises(InvalidInput) as invalid:
        ForgeSettings.load()
    assert problems(invalid).keys() == {"FRAGUA_ENVIRONMENT", "FRAGUA_ARTIFACTS_SECRET_KEY"}


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(POSTGRES.format(password="ñandú") + "\n", "utf-8")
    (tmp_path / "key").write_text("clave\n", "utf-8")
    monkeypatch.setenv("FRAGUA_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("FRAGUA_ARTIFACTS_SECRET_KEY_FILE", str(tmp_path / "key"))
    settings = ForgeSettings.load()
    assert settings.database_url == POSTGRES.format(password="ñandú")
    assert settings.artifacts_secret_key.get_secret_value() == "clave"


def test_a_published_password_within_a_file_is_refused_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(POSTGRES.format(password="change-me"), "utf-8")
    monkeypatch.setenv("FRAGUA_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("FRAGUA_ENVIRONMENT", "production")
    with pytest.raises(InvalidInput) as invalid:
        ForgeSettings.load()
    assert problems(invalid).keys() == {"FRAGUA_DATABASE_URL"}


def test_a_secret_file_that_is_missing_or_rivals_a_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_ARTIFACTS_SECRET_KEY_FILE", "/nowhere/key")
    monkeypatch.setenv("FRAGUA_HUB_TOKEN_FILE", __file__)
    monkeypatch.setenv("FRAGUA_HUB_TOKEN", "s3creto")
    with pytest.raises(InvalidInput) as invalid:
        ForgeSettings.load()
    assert problems(invalid).keys() == {"FRAGUA_ARTIFACTS_SECRET_KEY", "FRAGUA_HUB_TOKEN"}
    assert "cannot read /nowhere/key" in problems(invalid)["FRAGUA_ARTIFACTS_SECRET_KEY"]
    assert "keep one" in problems(invalid)["FRAGUA_HUB_TOKEN"]


def test_neither_repr_nor_str_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAGUA_DATABASE_URL", POSTGRES.format(password="s3creto"))
    monkeypatch.setenv("FRAGUA_EVENTS_URL", "nats://fragua:s3creto@nats:4222")
    monkeypatch.setenv("FRAGUA_ARTIFACTS_ACCESS_KEY", "s3creto")
    monkeypatch.setenv("FRAGUA_ARTIFACTS_SECRET_KEY", "s3creto")
    settings = ForgeSettings.load()
    assert "s3creto" in settings.database_url
    assert "s3creto" not in repr(settings) + str(settings)


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.touch()
    key.touch()
    with pytest.raises(InvalidInput, match="FRAGUA_TLS_KEY_FILE: is missing"):
        ForgeSettings.load(tls_cert_file=certificate)
    assert ForgeSettings.load(tls_cert_file=certificate, tls_key_file=key).server_tls == ServerTls(certificate, key)
    assert ForgeSettings.load().server_tls is None


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError):
        ForgeSettings.load().port = 1
