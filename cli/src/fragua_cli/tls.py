"""The TLS files that the command line calls with, refused before a call when they cannot work.

gRPC would tell of a service that is away where a file is wrong, and abort the process where a certificate is missing.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.grpc.tls import ChannelTls

AUTHORITY, CERTIFICATE, KEY = "FRAGUA_TLS_CA_FILE", "FRAGUA_TLS_CERT_FILE", "FRAGUA_TLS_KEY_FILE"
"""The variables that the services read, too."""


def find_tls(environment: Mapping[str, str] = os.environ) -> ChannelTls | None:
    """The files that the variables name, or None: then calls go in the clear."""
    files = {variable: Path(path) for variable in (AUTHORITY, CERTIFICATE, KEY) if (path := environment.get(variable))}
    if not files:
        return None
    problems = [*_missing(files), *_unreadable(files)] or [*_unusable(files)]
    if problems:
        raise InvalidInput("cannot call over TLS", violations=problems)
    return ChannelTls(files[AUTHORITY], files.get(CERTIFICATE), files.get(KEY))


def way_out(tls: ChannelTls | None) -> str:
    """What to try when services stay away. A server that wants TLS, or a certificate, hangs up without a word."""
    if tls is None:
        return (
            f"`fragua up` starts a suite here, --endpoint names one elsewhere, {AUTHORITY} is for one that speaks TLS"
        )
    if tls.certificate is None:
        return f"--endpoint names another suite; one that serves only clients with a certificate needs {CERTIFICATE}"
    return (
        f"--endpoint names another suite; over TLS, {AUTHORITY} must have signed a certificate for the host that it "
        f"names, and the services must trust {CERTIFICATE}"
    )


def _missing(files: Mapping[str, Path]) -> Iterator[Violation]:
    if AUTHORITY not in files:
        yield Violation(AUTHORITY, "is missing: it names who signed the services' certificates")
    if CERTIFICATE not in files and KEY in files:
        yield Violation(CERTIFICATE, f"is missing: {KEY} is of no use without it")
    if KEY not in files and CERTIFICATE in files:
        yield Violation(KEY, f"is missing: {CERTIFICATE} needs its key")


def _unreadable(files: Mapping[str, Path]) -> Iterator[Violation]:
    for variable, file in files.items():
        try:
            file.read_bytes()
        except OSError as unreadable:
            yield Violation(variable, f"{file} cannot be read: {unreadable.strerror}")


def _unusable(files: Mapping[str, Path]) -> Iterator[Violation]:
    trial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        trial.load_verify_locations(files[AUTHORITY])
    except ssl.SSLError:
        yield Violation(AUTHORITY, f"{files[AUTHORITY]} holds no certificate in PEM")
    if CERTIFICATE in files:
        try:
            # An empty password, or OpenSSL would ask whoever sits there for the one of an encrypted key.
            trial.load_cert_chain(files[CERTIFICATE], files[KEY], password="")
        except ssl.SSLError:
            pair = f"{files[CERTIFICATE]} and {files[KEY]}"
            yield Violation(CERTIFICATE, f"{pair} are not a certificate and its own, unencrypted key in PEM")
