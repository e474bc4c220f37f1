"""Chooses the artifact store by the scheme of its URL."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from minio.helpers import check_bucket_name

from fragua_platform.artifacts.keys import check_prefix
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.artifacts.s3 import S3ArtifactStore, S3Location
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import InvalidInput, Violation

OPTIONS = ("endpoint", "region", "prefix", "public_endpoint")
AWS = "https://s3.amazonaws.com"


def open_artifact_store(url: str, *, access_key: str = "", secret_key: str = "") -> ArtifactStore:
    """`file:///folder`, or `s3://bucket?endpoint=http://host:port&region=…&prefix=…&public_endpoint=…` with its keys.

    Opens without asking the server; `check` does that. A URL that can never work is `InvalidInput`.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidInput(f"the artifacts URL cannot be read: {error}") from error
    match parts.scheme:
        case "file":
            return LocalArtifactStore(_folder(parts))
        case "s3":
            return S3ArtifactStore(
                _location(parts, access_key, secret_key), access_key=access_key, secret_key=secret_key
            )
        case _:
            raise InvalidInput(f"the artifacts URL has the scheme {parts.scheme!r}; it must be file:///… or s3://…")


def _folder(parts: SplitResult) -> Path:
    folder = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not folder.is_absolute() or parts.query or parts.fragment:
        raise InvalidInput("the artifacts URL must be file:/// and an absolute path, and no more")
    return folder


def _location(parts: SplitResult, access_key: str, secret_key: str) -> S3Location:
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    problems = []
    if parts.username is not None or parts.password is not None:
        # Said without the URL, which has a secret in it.
        problems.append(Violation("url", "has credentials in it; pass the keys by their own settings"))
    bucket = parts.netloc.rpartition("@")[2]
    try:
        check_bucket_name(bucket, s3_check=True)
    except ValueError:
        problems.append(Violation("bucket", "is missing or not a bucket's name; write s3://bucket?endpoint=…"))
    if parts.path.strip("/"):
        problems.append(Violation("url", "has a path; say prefix=… for a folder of the bucket"))
    for name in options.keys() - set(OPTIONS):
        problems.append(Violation(name, f"is not one of {', '.join(OPTIONS)}"))
    for name in ("endpoint", "public_endpoint"):
        if (endpoint := options.get(name)) and not _is_endpoint(endpoint):
            problems.append(Violation(name, "is not http://host:port or https://host"))
    region = options.get("region") or "us-east-1"
    if not re.fullmatch("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", region):
        problems.append(Violation("region", "is not the name of a region, such as us-east-1"))
    try:
        prefix = check_prefix(options.get("prefix", ""))
    except InvalidInput as invalid:
        prefix = ""
        problems += [Violation("prefix", violation.description) for violation in invalid.violations]
    if not access_key or not secret_key:
        problems.append(Violation("access_key, secret_key", "are not both set"))
    if problems:
        listed = "; ".join(f"{problem.field} {problem.description}" for problem in problems)
        raise InvalidInput(f"the artifacts URL and its keys: {listed}", violations=problems)
    return S3Location(
        bucket=bucket,
        endpoint=(options.get("endpoint") or AWS).rstrip("/"),
        region=region,
        prefix=prefix,
        public_endpoint=options.get("public_endpoint", "").rstrip("/"),
    )


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and parts.path in ("", "/")
            and not (parts.query or parts.fragment or parts.username)
        )
    except ValueError:
        return False
