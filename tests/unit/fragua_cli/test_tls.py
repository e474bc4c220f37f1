"""Which TLS files the command line uses, and what it says of those that cannot work."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from fragua_cli.endpoints import SERVICES
from fragua_cli.suite import Suite
from fragua_cli.tls import find_tls
from fragua_platform.errors import InvalidInput, Unavailable
from fragua_platform.grpc.tls import ChannelTls, ServerTls, server_credentials

MAKE_CERTIFICATES = Path(__file__).parents[3] / "deploy/compose/make-certificates.sh"
VARIABLES = {
    "FRAGUA_TLS_CA_FILE": "client/ca.crt",
    "FRAGUA_TLS_CERT_FILE": "client/tls.crt",
    "FRAGUA_TLS_KEY_FILE": "client/tls.key",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def other_certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("other-certificates"))


@pytest.fixture
def environment(certificates: Path) -> dict[str, str]:
    return environment_of(certificates)


def make_certificates(folder: Path, *names: str) -> Path:
    subprocess.run([MAKE_CERTIFICATES, folder, *names], check=True)
    return folder


def environment_of(certificates: Path) -> dict[str, str]:
    return {variable: str(certificates / file) for variable, file in VARIABLES.items()}


def refusal(environment: dict[str, str]) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as refused:
        find_tls(environment)
    [violation] = refused.value.violations
    return violation.field, violation.description


def test_without_tls_files_calls_go_in_the_clear() -> None:
    assert find_tls({"FRAGUA_TLS_CA_FILE": ""}) is None


def test_the_files_come_from_the_variables_that_the_services_read(environment: dict[str, str]) -> None:
    authority, certificate, key = map(Path, environment.values())
    assert find_tls(environment) == ChannelTls(authority, certificate, key)


def test_an_authority_alone_is_enough_for_servers_that_ask_for_no_certificate(environment: dict[str, str]) -> None:
    authority = environment["FRAGUA_TLS_CA_FILE"]
    assert find_tls({"FRAGUA_TLS_CA_FILE": authority}) == ChannelTls(Path(authority))


@pytest.mark.parametrize("missing", VARIABLES)
def test_files_that_need_each_other_are_refused_alone(environment: dict[str, str], missing: str) -> None:
    del environment[missing]
    variable, problem = refusal(environment)
    assert variable == missing
    assert problem.startswith("is missing")


def test_files_that_are_not_there_are_all_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        find_tls({variable: f"/nowhere/ñ/{file}" for variable, file in VARIABLES.items()})
    assert {violation.field: violation.description for violation in refused.value.violations} == {
        variable: f"/nowhere/ñ/{file} cannot be read: No such file or directory" for variable, file in VARIABLES.items()
    }


def test_an_authority_that_is_no_certificate_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("hola")
    environment["FRAGUA_TLS_CA_FILE"] = str(authority)
    assert refusal(environment) == ("FRAGUA_TLS_CA_FILE", f"{authority} holds no certificate in PEM")


def test_the_key_of_another_certificate_is_refused(environment: dict[str, str], certificates: Path) -> None:
    environment["FRAGUA_TLS_KEY_FILE"] = str(certificates / "services/trainer/tls.key")
    variable, problem = refusal(environment)
    assert variable == "FRAGUA_TLS_CERT_FILE"
    assert "are not a certificate and its own, unencrypted key in PEM" in problem


def test_an_encrypted_key_is_refused_without_asking_for_its_password(
    environment: dict[str, str], tmp_path: Path
) -> None:
    encrypted = tmp_path / "tls.key"
    plain = environment["FRAGUA_TLS_KEY_FILE"]
    command = ["openssl", "ec", "-in", plain, "-aes256", "-passout", "pass:contraseña", "-out", str(encrypted)]
    subprocess.run(command, check=True, capture_output=True)
    environment["FRAGUA_TLS_KEY_FILE"] = str(encrypted)
    assert refusal(environment)[0] == "FRAGUA_TLS_CERT_FILE"


async def call_with(tls: ChannelTls | None, port: int) -> None:
    endpoints = dict.fromkeys(SERVICES, f"127.0.0.1:{port}")
    async with Suite(endpoints, tls=tls, patience=0.1, notice=lambda _: None) as suite:
        stub = health_pb2_grpc.HealthStub(suite.channel("dataset"))
        await suite.call(stub.Check, health_pb2.HealthCheckRequest())


async def test_mutual_tls_serves_our_clients_and_tells_others_what_to_set(
    certificates: Path, other_certificates: Path, environment: dict[str, str]
) -> None:
    own = certificates / "services/dataset"
    strangers = (None, ChannelTls(own / "ca.crt"), find_tls(environment_of(other_certificates)))
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)  # type: ignore[attr-defined]
    credentials = server_credentials(ServerTls(own / "tls.crt", own / "tls.key", client_authority=own / "ca.crt"))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        await call_with(find_tls(environment), port)
        # All at once, because gRPC itself tries each of them for seconds.
        refusals = await asyncio.gather(*(call_with(tls, port) for tls in strangers), return_exceptions=True)
    finally:
        await server.stop(None)
    ways_out = (
        "FRAGUA_TLS_CA_FILE is for one that speaks TLS",
        "one that serves only clients with a certificate needs FRAGUA_TLS_CERT_FILE",
        "the services must trust FRAGUA_TLS_CERT_FILE",
    )
    for refused, way_out in zip(refusals, ways_out, strict=True):
        assert isinstance(refused, Unavailable)
        assert way_out in refused.message


def test_certificates_hold_for_the_names_asked_for_and_renewing_keeps_the_authority(tmp_path: Path) -> None:
    make_certificates(tmp_path, "fragua.example", "10.0.0.7")
    authority = (tmp_path / "ca.crt").read_bytes()
    make_certificates(tmp_path, "peña.example".encode("idna").decode(), "::1")
    assert (tmp_path / "ca.crt").read_bytes() == authority
    for service in SERVICES:
        shown = subprocess.run(
            ["openssl", "x509", "-in", tmp_path / f"services/{service}/tls.crt", "-noout", "-ext", "subjectAltName"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        names = {name.strip() for name in shown.splitlines()[1].split(",")}
        assert names == {
            f"DNS:{service}", "DNS:localhost", "DNS:xn--pea-8ma.example", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"
        }  # fmt: skip


def test_nobody_but_the_owner_reaches_the_keys(certificates: Path) -> None:
    assert certificates.stat().st_mode & 0o077 == 0
    assert (certificates / "ca.key").stat().st_mode & 0o077 == 0
