"""Serves ministack's S3 for one key pair only, and with its signature checked.

By itself ministack takes any signature of its root key `test`, and forgets IAM users when it is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
from urllib.parse import parse_qs

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
    Scope,
)
from ministack import app as ministack
from ministack.core.router import extract_access_key_id
from ministack.services import iam

ACCESS_KEY = os.environ["S3_ACCESS_KEY"]
SECRET_KEY = os.environ["S3_SECRET_KEY"]
ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
REFUSAL = b"<Error><Code>InvalidAccessKeyId</Code><Message>This server knows one access key</Message></Error>"


async def only_our_key(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    if scope["type"] == "http" and access_key_of(scope) != ACCESS_KEY:
        headers = [(b"content-type", b"application/xml"), (b"connection", b"close")]
        await send(HTTPResponseStartEvent(type="http.response.start", status=403, headers=headers))
        await send(HTTPResponseBodyEvent(type="http.response.body", body=REFUSAL, more_body=False))
        return
    await ministack.app(scope, receive, send)


def access_key_of(scope: HTTPScope) -> str | None:
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    key: str | None = extract_access_key_id(headers, parse_qs(scope["query_string"].decode()))
    return key


def add_user() -> None:
    """Through IAM's own tables, because CreateAccessKey would invent a key pair anew after every start."""
    iam._create_user({"UserName": ["tests"]})
    iam._user_inline_policies["tests"] = {"all": json.dumps(ALLOW_ALL)}
    iam._access_keys[ACCESS_KEY] = {
        "UserName": "tests",
        "AccessKeyId": ACCESS_KEY,
        "SecretAccessKey": SECRET_KEY,
        "Status": "Active",
        "CreateDate": iam._now(),
    }


if __name__ == "__main__":
    add_user()
    config = Config()
    config.bind = [f"{os.environ['BIND_HOST']}:{os.environ['GATEWAY_PORT']}"]
    config.graceful_timeout = 0.5
    asyncio.run(serve(only_our_key, config))
