"""Certificates of servers and channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from fragua_platform.errors import InvalidInput


@dataclass(frozen=True)
class ServerTls:
    """PEM files of a server."""

    certificate: Path
    key: Path
    client_authority: Path | None = None
    """When set, only clients with a certificate of this authority are served."""


@dataclass(frozen=True)
class ChannelTls:
    """PEM files of a channel."""

    authority: Path | None = None
    """Who signed the server's certificate; the authorities that gRPC ships when absent."""
    certificate: Path | None = None
    """Our own certificate and its key, for servers that ask for one."""
    key: Path | None = None


def server_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    authority = _read_if_set(tls.client_authority)
    return grpc.ssl_server_credentials(
        [(_read(tls.key), _read(tls.certificate))],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )


def channel_credentials(tls: ChannelTls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=_read_if_set(tls.authority),
        private_key=_read_if_set(tls.key),
        certificate_chain=_read_if_set(tls.certificate),
    )


def _read_if_set(path: Path | None) -> bytes | None:
    return None if path is None else _read(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as unreadable:
        raise InvalidInput(f"cannot read the TLS file {path}: {unreadable.strerror}") from unreadable
