"""Structured logs: one JSON object a line in the home, readable lines on stderr."""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import structlog

_FILE_BYTES = 10 * 1024 * 1024
_FILES_KEPT = 5

_SECRET_NAME = re.compile(r"token|secret|password|authorization|cookie|credential", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]+):[^\s@/]+@")
_HIDDEN = "•••"

EventDict = MutableMapping[str, Any]


def log(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a part: `log("server").info("ready", url=url)`; values are fields."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(f"headwater.{name}")
    return logger


def configure_logs(folder: Path | None, level: str, *, stderr: bool) -> None:
    """Sends logs to `folder`/headwater.log (rotated, 0600) and, if asked, to stderr.

    Fields named like a secret, bearer tokens and passwords in URLs are blanked everywhere.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,  # first, so that what is not logged costs nothing
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handlers: list[logging.Handler] = []
    if folder is not None:
        file = logging.handlers.RotatingFileHandler(
            folder / "headwater.log",
            maxBytes=_FILE_BYTES,
            backupCount=_FILES_KEPT,
            encoding="utf-8",
            delay=True,
        )
        file.setFormatter(
            _formatter(
                shared,
                [
                    structlog.processors.format_exc_info,
                    redact,
                    structlog.processors.JSONRenderer(),
                ],
            )
        )
        handlers.append(file)
    if stderr:
        stream = logging.StreamHandler(sys.stderr)
        colors = sys.stderr.isatty()
        stream.setFormatter(
            _formatter(
                shared,
                [
                    structlog.processors.format_exc_info,
                    redact,
                    structlog.dev.ConsoleRenderer(
                        colors=colors, exception_formatter=structlog.dev.plain_traceback
                    ),
                ],
            )
        )
        handlers.append(stream)
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers or [logging.NullHandler()]:
        root.addHandler(handler)
    root.setLevel(level.upper())
    # The guard writes one line a request; uvicorn's own would carry query strings.
    logging.getLogger("uvicorn.access").disabled = True
    for talkative in ("uvicorn", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    if folder is not None:
        os.close(os.open(folder / "headwater.log", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def redact(_logger: Any, _method: str, event: EventDict) -> Mapping[str, Any]:
    """A structlog processor that blanks what looks like a credential, in names and in values."""
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = _HIDDEN
        elif isinstance(value, str):
            event[name] = blank_secrets(value)
    return event


def blank_secrets(text: str) -> str:
    """The text without bearer tokens and without passwords in URLs."""
    text = _BEARER.sub(lambda match: f"{match[1]} {_HIDDEN}", text)
    return _URL_PASSWORD.sub(lambda match: f"{match[1]}:{_HIDDEN}@", text)


def _formatter(shared: list[Any], processors: list[Any]) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
    )
