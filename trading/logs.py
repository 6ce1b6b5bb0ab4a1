"""Every record of every logger is one line on stderr: a line to read, or a JSON object (LOG_FORMAT=json).

Both name the request at hand and the record's `fields` (`logger.info(..., extra={"fields": {...}})`); as JSON,
exceptions are fields too, and what nobody caught becomes a record. Only JSON imports structlog.
"""

import json
import logging
import logging.config
import os
import sys
import threading
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from matching.lanes import BATCH, REQUEST_ID

FORMATTERS: dict[str, dict[str, Any]] = {
    "line": {"()": "trading.logs.OneLineFormatter", "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
    "json": {"()": "trading.logs.json_formatter"},
}
"""By LOG_FORMAT, for Django's LOGGING."""

NAMES_MAX = 1_000
"""Requests of a batch that one record names."""

FRAMES_MAX = 50
"""Of a traceback, the innermost and outermost; those between are left out."""

_python = logging.getLogger("python")


class OneLineFormatter(logging.Formatter):
    """Formats in UTC and writes the line breaks inside a record as `\\n`."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without a traceback, with the record's fields at its end."""
        fields = fields_of(record)
        return super().formatMessage(record) + "".join(f" {name}={_word(value)}" for name, value in fields.items())

    def format(self, record: logging.LogRecord) -> str:
        """The record's text with its line breaks escaped."""
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")


def json_formatter() -> logging.Formatter:
    """Formats a record as one JSON object: time, level, logger, message, role, pid, its fields, its exception."""
    import structlog

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            _described,
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(
                    show_locals=False, max_frames=FRAMES_MAX, use_rich=False, suppress=()
                )
            ),
            _one_line,
        ],
    )


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The request or the batch of requests at hand, and what the record has to tell besides its message."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    if request_id := REQUEST_ID.get():
        return {"request_id": request_id, **fields}
    if names := [request.request_id for request in BATCH.get()[:NAMES_MAX] if request.request_id]:
        return {"request_ids": names, **fields}
    return fields


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: set the loggers up; as JSON, what Python would print by itself becomes records too."""
    logging.config.dictConfig(config)
    if config["handlers"]["stderr"]["formatter"] == "json":
        logging.captureWarnings(True)
        sys.excepthook = _uncaught
        threading.excepthook = _uncaught_in_thread


def is_news(record: logging.LogRecord) -> bool:
    """False for Django's line about each 503: whoever asks `/readyz` while we start gets the reason in the answer."""
    return getattr(record, "status_code", None) != 503


def role(arguments: list[str]) -> str:
    """What the process with these arguments is for: `up`, `matching_worker`, `celery-beat` and so on."""
    path, words = Path(arguments[0] if arguments else "python"), arguments[1:]
    if path.name == "manage.py" and words:
        return words[0]
    if "celery" in (path.name, path.parent.name):  # as a program, or with `python -m`
        return next((f"celery-{word}" for word in words if word in ("worker", "beat")), "celery")
    return path.name


ROLE = role(sys.argv)


def _described(_: Any, level: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The object in the order in which people read it."""
    record: logging.LogRecord = event["_record"]
    described = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
        "level": level,
        "logger": record.name,
        "message": event["event"],
        "role": ROLE,
        "pid": os.getpid(),
        **fields_of(record),
    }
    if (status := getattr(record, "status_code", None)) is not None:
        described["status"] = status
    return described | {name: event[name] for name in ("exc_info", "stack_info") if event.get(name)}


def _one_line(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return json.dumps(event, default=str)


def _word(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return json.dumps(text) if not text or any(mark in text for mark in ' "=\\') else text


def _uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _python.critical("Nobody caught %s", kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None and not issubclass(found.exc_type, SystemExit):
        name = found.thread.name if found.thread else "?"
        error = (found.exc_type, found.exc_value, found.exc_traceback)
        _python.critical("Nobody caught %s in thread %s", found.exc_type.__name__, name, exc_info=error)
