"""Logs of every process: one JSON object per event on stderr, tied to its trace, free of secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["json", "console"]

REDACTED: Final = "[redacted]"
_SECRET_KEY: Final = re.compile(
    r"(^|[_\-.])(password|passwd|secret|token|authorization|cookie|credentials?|(access|secret|api|private)[_\-]?key)$",
    re.IGNORECASE,
)
# The password of `scheme://user:password@host`. Greedy up to the last @ before the path: passwords may contain one.
_URL_PASSWORD: Final = re.compile(r"(?P<before>[a-zA-Z][a-zA-Z0-9+.\-]*://[^\s:/@]*:)[^\s/]+(?=@)")
_PRESIGNED: Final = re.compile(r"(?P<before>[?&](X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token)=)[^&\s\"']+")


def configure_logging(service: str, level: str = "INFO", log_format: LogFormat = "json") -> None:
    """Send structlog and the standard library's loggers through one chain of processors to stderr.

    Call it once, first thing in `__main__`; a second call replaces the first.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _service_adder(service),
        add_span_ids,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        # After the traceback became text: exceptions of drivers like to quote the URL they failed on.
        redact_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())


def add_span_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Tie the event to the span that it happened in."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def redact_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank the values of secret-sounding keys, at any depth, and passwords and signatures within any URL."""
    # The names with an underscore are structlog's own bookkeeping, such as the LogRecord.
    return {key: value if key.startswith("_") else _redact(key, value) for key, value in event.items()}


def _redact(key: object, value: Any) -> Any:
    if isinstance(key, str) and _SECRET_KEY.search(key) and value:
        return REDACTED
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {inner: _redact(inner, item) for inner, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redact(None, item) for item in value]
    # Everything else is logged as its text, so its text is what has to be clean: exceptions, paths, URLs.
    return _PRESIGNED.sub(rf"\g<before>{REDACTED}", _URL_PASSWORD.sub(rf"\g<before>{REDACTED}", str(value)))


def _service_adder(service: str) -> Processor:
    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        # Where all services share a process, a component may have bound its own name.
        event.setdefault("service", service)
        return event

    return add_service


def _renderer(log_format: LogFormat) -> Processor:
    if log_format == "console":
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer(ensure_ascii=False)
