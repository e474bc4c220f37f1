"""Which TLS files the command line uses."""

from __future__ import annotations

from pathlib import Path

from fragua_cli.suite import find_tls
from fragua_platform.grpc.tls import ChannelTls


def test_without_an_authority_calls_go_in_the_clear() -> None:
    assert find_tls({"FRAGUA_TLS_CERT_FILE": "own.crt"}) is None


def test_the_files_come_from_the_variables_that_the_services_read() -> None:
    environment = {
        "FRAGUA_TLS_CA_FILE": "ca.crt",
        "FRAGUA_TLS_CERT_FILE": "own.crt",
        "FRAGUA_TLS_KEY_FILE": "own.key",
    }
    assert find_tls(environment) == ChannelTls(Path("ca.crt"), Path("own.crt"), Path("own.key"))
