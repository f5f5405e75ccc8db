"""Logs as JSON lines on standard output: one event name per line, values beside it, secrets taken out before they are written."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from common.tracing import add_trace_id

FORBIDDEN = re.compile(r"token|secret|password|authorization|cookie|code$|link|email|address|body|sealed|session|invitation", re.IGNORECASE)
"""Names whose values never reach a log line. Ids are fine: they open nothing."""

SECRETS = re.compile(r"\b(?:cil|cis|cii|pis)_[\w-]{20,}|\beyJ[\w-]+\.[\w-]+\.[\w-]+|[\w.+-]+@[\w-]+\.[\w.-]+")
"""Our own secrets by their prefix, JWTs and e-mail addresses, wherever they stand in a text."""

QUIET = ("httpx", "httpcore", "aio_pika", "aiormq", "pymongo", "motor", "uvicorn.error", "asyncio", "multipart", "python_multipart")
"""Libraries whose normal lines would show URLs, message bodies or queries."""


def configure(service: str, level: str = "info") -> None:
    """Sets logging for the process; call once, first."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            add_trace_id,
            redact,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces values of forbidden names and secrets inside texts."""
    for name, value in line.items():
        if name not in ("event", "exception") and FORBIDDEN.search(name):
            line[name] = "[hidden]"
        elif isinstance(value, str):
            line[name] = SECRETS.sub("[hidden]", value)
    return line


def hidden(value: Any) -> Any:
    """The same JSON value, to show to people, with the same things taken out at every depth."""
    if isinstance(value, dict):
        return {name: "[hidden]" if FORBIDDEN.search(name) else hidden(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [hidden(inner) for inner in value]
    return SECRETS.sub("[hidden]", value) if isinstance(value, str) else value


def get_logger() -> Any:
    """A logger; call it as `log.info("share.created", share_id=…)`."""
    return structlog.get_logger()
