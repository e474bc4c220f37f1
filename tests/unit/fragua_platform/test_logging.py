"""Logs are one JSON object per event, tied to the trace, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from typing import Any

import pytest
import structlog

from fragua_platform.logging import REDACTED, configure_logging, redact_secrets
from fragua_platform.telemetry import configure_tracing, span_from_traceparent

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Logged = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def logged() -> Logged:
    stream = io.StringIO()
    with redirect_stderr(stream):
        configure_logging("trainer", "INFO", "json")
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_its_service_level_and_time(logged: Logged) -> None:
    structlog.get_logger().info("job_started", branch="antropología")
    [event] = logged()
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "job_started", "level": "info", "service": "trainer", "branch": "antropología"}


def test_bound_context_and_the_current_span_stand_in_every_event(logged: Logged) -> None:
    configure_tracing("test")
    with (
        structlog.contextvars.bound_contextvars(job="j1"),
        span_from_traceparent("work", TRACEPARENT) as span,
    ):
        structlog.get_logger().info("inside")
    structlog.get_logger().info("outside")
    inside, outside = logged()
    assert inside["job"] == "j1"
    assert inside["trace_id"] == TRACEPARENT.split("-")[1]
    assert inside["span_id"] == format(span.get_span_context().span_id, "016x")
    assert "job" not in outside and "trace_id" not in outside


def test_loggers_of_libraries_take_the_same_road(logged: Logged) -> None:
    logging.getLogger("nats").warning("connected to %s", "nats://fragua:s3creto@nats:4222")
    [event] = logged()
    assert event["event"] == f"connected to nats://fragua:{REDACTED}@nats:4222"
    assert (event["level"], event["service"]) == ("warning", "trainer")


def test_events_below_the_level_are_left_out(logged: Logged) -> None:
    structlog.get_logger().debug("detail")
    assert logged() == []


def test_a_traceback_is_logged_without_the_password_in_it(logged: Logged) -> None:
    try:
        raise ConnectionError("postgresql://fragua:s3creto@db:5432 refused")
    except ConnectionError as error:
        structlog.get_logger().exception("database_lost", cause=error)
    [event] = logged()
    assert "ConnectionError" in event["exception"]
    assert "s3creto" not in json.dumps(event)


def test_people_can_ask_for_lines_instead_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("trainer", "INFO", "console")
    structlog.get_logger().info("job_started", password="s3creto")
    line = capsys.readouterr().err
    assert "job_started" in line and "s3creto" not in line


@pytest.mark.parametrize(
    "key", ["password", "token", "hub_token", "Authorization", "artifacts_secret_key", "access-key", "client_secret"]
)
def test_secret_sounding_keys_are_blanked_at_any_depth(key: str) -> None:
    assert redact_secrets(None, "", {"request": [{"headers": {key: "s3creto"}}]}) == {
        "request": [{"headers": {key: REDACTED}}]
    }


@pytest.mark.parametrize("key", ["tokens", "tokens_per_second", "max_tokens", "key", "secretary"])
def test_keys_that_only_resemble_them_stay(key: str) -> None:
    assert redact_secrets(None, "", {key: 12}) == {key: 12}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("s3://key:sec/ret@host/x", "s3://key:sec/ret@host/x"),  # Not a URL: a slash ends the host part.
        ("a postgresql+psycopg://u:p@ss@db/x b", f"a postgresql+psycopg://u:{REDACTED}@db/x b"),
        ("nats://a:1@x,nats://b:2@y", f"nats://a:{REDACTED}@x,nats://b:{REDACTED}@y"),
        ("https://s3/k?X-Amz-Signature=abc&x=1", f"https://s3/k?X-Amz-Signature={REDACTED}&x=1"),
        ("http://localhost:8080/a", "http://localhost:8080/a"),
        ("mail ana@example.org at 10:30", "mail ana@example.org at 10:30"),
    ],
)
def test_credentials_within_urls_are_blanked(text: str, clean: str) -> None:
    assert redact_secrets(None, "", {"event": text}) == {"event": clean}
