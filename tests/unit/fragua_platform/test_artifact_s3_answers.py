"""What an S3 server may answer, and what the store makes of it: a scripted server says what a real one says rarely."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fragua_platform.artifacts import s3
from fragua_platform.artifacts.open import open_artifact_store
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.errors import (
    AlreadyExists,
    FailedPrecondition,
    FraguaError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)

Answer = tuple[int, str]
OK = (200, "")
UPLOAD = (200, "<InitiateMultipartUploadResult><UploadId>u-1</UploadId></InitiateMultipartUploadResult>")
DONE = (200, "<CompleteMultipartUploadResult/>")


def error(status: int, code: str) -> Answer:
    return status, f"<Error><Code>{code}</Code><Message>said the server</Message></Error>"


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class ScriptedS3(ThreadingHTTPServer):
    """Gives its answers in turn, and the last one for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ScriptedAnswers)
        self.answers: list[Answer] = []
        self.requests: list[str] = []
        self.conditions: list[str | None] = []

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class ScriptedAnswers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedS3

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self.server.next_answer()
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.conditions.append(self.headers.get("If-None-Match"))
        self.send_response(status)
        self.send_header("Content-Type", "application/xml" if body.startswith("<") else "text/html")
        self.send_header("ETag", '"e-1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - names of the base class

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name of the base class
        """Silent: pytest shows what matters."""


@pytest.fixture
def server() -> Iterator[ScriptedS3]:
    with ScriptedS3() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def store(server: ScriptedS3) -> ArtifactStore:
    url = f"s3://bucket?endpoint=http://127.0.0.1:{server.server_port}"
    return open_artifact_store(url, access_key="key", secret_key="hidden")


@pytest.fixture
def large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(s3, "PART_SIZE", 1000)
    path = tmp_path / "large"
    path.write_bytes(b"x" * 1500)
    return path


@pytest.mark.parametrize(
    ("answer", "family"),
    [
        (error(404, "NoSuchKey"), NotFound),
        (error(404, "NoSuchBucket"), FailedPrecondition),
        (error(403, "AccessDenied"), FailedPrecondition),
        (error(403, "SignatureDoesNotMatch"), FailedPrecondition),
        (error(403, "RequestTimeTooSkewed"), FailedPrecondition),
        (error(400, "AuthorizationHeaderMalformed"), FailedPrecondition),
        (error(400, "ExpiredToken"), FailedPrecondition),
        (error(301, "PermanentRedirect"), FailedPrecondition),
        (error(501, "NotImplemented"), FailedPrecondition),
        (error(507, "XMinioStorageFull"), LimitExceeded),
        (error(400, "EntityTooLarge"), LimitExceeded),
        (error(403, "QuotaExceeded"), LimitExceeded),
        (error(400, "KeyTooLongError"), InvalidInput),
        (error(503, "SlowDown"), Unavailable),
        (error(500, "InternalError"), Unavailable),
        (error(429, "TooManyRequests"), Unavailable),
        (error(400, "RequestTimeout"), Unavailable),
        (error(400, "XAmzContentSHA256Mismatch"), Unavailable),
        ((502, "<html>bad gateway</html>"), Unavailable),
        ((200, "<html>a console"), FailedPrecondition),
    ],
)
async def test_each_answer_has_its_family(
    server: ScriptedS3, store: ArtifactStore, answer: Answer, family: type[FraguaError]
) -> None:
    server.answers = [OK, answer]

    with pytest.raises(family, match=str(server.server_port)) as raised:
        await store.put_bytes("key", b"1")

    assert type(raised.value) is family
    assert "hidden" not in str(raised.value)


async def test_one_refusal_for_load_does_not_reach_the_caller(server: ScriptedS3, store: ArtifactStore) -> None:
    server.answers = [OK, error(503, "SlowDown"), OK, error(412, "PreconditionFailed"), (200, "1")]

    with pytest.raises(AlreadyExists):
        await store.put_bytes("key", b"2")


async def test_a_bucket_that_may_not_be_made_is_named(server: ScriptedS3, store: ArtifactStore) -> None:
    server.answers = [(404, ""), error(403, "AccessDenied")]

    with pytest.raises(FailedPrecondition, match="creation of the missing bucket bucket"):
        await store.check()


async def test_a_server_that_ignores_the_condition_is_refused(server: ScriptedS3, store: ArtifactStore) -> None:
    server.answers = [OK]

    with pytest.raises(FailedPrecondition, match="overwrites objects in spite of If-None-Match"):
        await store.put_bytes("key", b"1")


async def test_the_condition_goes_with_the_request_that_creates(
    server: ScriptedS3, store: ArtifactStore, large_file: Path
) -> None:
    absent = (404, "")
    server.answers = [OK, absent, UPLOAD, OK, OK, DONE]

    await store.put_file("large", large_file)

    assert server.requests[2:] == [
        "POST /bucket/large?uploads=",
        "PUT /bucket/large?partNumber=1&uploadId=u-1",
        "PUT /bucket/large?partNumber=2&uploadId=u-1",
        "POST /bucket/large?uploadId=u-1",
    ]
    assert server.conditions[2:] == [None, None, None, "*"]


async def test_an_upload_that_fails_is_aborted(server: ScriptedS3, store: ArtifactStore, large_file: Path) -> None:
    server.answers = [OK, (404, ""), UPLOAD, OK, error(403, "AccessDenied"), (204, "")]

    with pytest.raises(FailedPrecondition, match="AccessDenied"):
        await store.put_file("large", large_file)

    assert server.requests[-1] == "DELETE /bucket/large?uploadId=u-1"


async def test_an_error_after_the_status_of_success_is_an_error(
    server: ScriptedS3, store: ArtifactStore, large_file: Path
) -> None:
    _, internal_error = error(500, "InternalError")
    server.answers = [OK, (404, ""), UPLOAD, OK, OK, (200, internal_error), (204, "")]

    with pytest.raises(Unavailable, match="InternalError"):
        await store.put_file("large", large_file)


async def test_a_write_that_lost_to_one_which_came_to_nothing_may_be_tried_again(
    server: ScriptedS3, store: ArtifactStore
) -> None:
    server.answers = [OK, error(409, "ConditionalRequestConflict"), (404, "")]

    with pytest.raises(Unavailable, match="try again"):
        await store.put_bytes("key", b"1")


async def test_a_source_that_changes_under_the_upload_is_refused(
    server: ScriptedS3, store: ArtifactStore, large_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Appending(ScriptedAnswers):
        def answer(self) -> None:
            if "uploads=" in self.path:
                large_file.write_bytes(b"y" * 1500)
            super().answer()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - names of the base class

    monkeypatch.setattr(server, "RequestHandlerClass", Appending)
    server.answers = [OK, (404, ""), UPLOAD, OK, OK, (204, "")]

    with pytest.raises(FailedPrecondition, match="changed while it was uploaded"):
        await store.put_file("large", large_file)

    assert server.requests[-1] == "DELETE /bucket/large?uploadId=u-1"


async def test_a_connection_that_breaks_in_a_download_leaves_no_file(
    server: ScriptedS3, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking(ScriptedAnswers):
        def send_header(self, keyword: str, value: str) -> None:
            super().send_header(keyword, "1000" if keyword == "Content-Length" and value == "5" else value)

        def end_headers(self) -> None:
            self.close_connection = True
            super().end_headers()

    monkeypatch.setattr(server, "RequestHandlerClass", Breaking)
    server.answers = [OK, (200, "short")]

    with pytest.raises(Unavailable, match="broke off"):
        await store.get_file(ArtifactRef("key", 1000, "0" * 64), tmp_path / "inputs" / "key")

    assert names_in(tmp_path / "inputs") == []


async def test_readiness_does_not_wait_for_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "CHECK_SECONDS", 0.2)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:  # listens, and serves nobody
        url = f"s3://bucket?endpoint=http://127.0.0.1:{silent.server_port}"
        store = open_artifact_store(url, access_key="key", secret_key="hidden")

        with pytest.raises(Unavailable, match="cannot be reached"):
            await store.check()
