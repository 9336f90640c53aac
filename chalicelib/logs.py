"""How log records look: one JSON object a line for programs, one line of text for people. Never a whole key.

A record may carry ``extra={"fields": {...}}``: what a program filters by, such as the request id.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from chalicelib.times import to_iso

OURS = ("app", "chalicelib", "infra", "iotflow", "mqtt_bridge")
"""Roots of our loggers: they obey LOG_LEVEL, other people's libraries speak from WARNING on."""

_KEY = re.compile(r"(iotf_[a-z]{3}_[0-9A-Za-z]{12})_[0-9A-Za-z]+")
_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class JsonFormatter(logging.Formatter):
    """``{"time": ..., "level": ..., "logger": ..., "message": ...}`` and the record's fields, in one line of ASCII.

    A field that has one of those names gets a ``_`` behind it. ``exception`` holds the traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name + "_" * (name in line): value for name, value in _fields(record).items()})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(line, default=str))


class TextFormatter(logging.Formatter):
    """``TIME LEVEL logger message name=value ...``, then the traceback. A message cannot begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        words = [_time(record), f"{record.levelname:7}", record.name, record.getMessage()]
        words += [f"{name}={value}" for name, value in _fields(record).items()]
        text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", " ".join(words))
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return without_secrets(text)


def configure(*, level: str, form: str, stream: TextIO | None = None) -> None:
    """Let every logger of this process write to *stream*, standard error when omitted.

    Call it once, where a process begins; what was configured before is replaced.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        form: ``json``, ``text``, or ``auto`` for text on a terminal and JSON elsewhere.
        stream: Where lines go.
    """
    target = stream or sys.stderr
    readable = form == "text" or (form == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(TextFormatter() if readable else JsonFormatter())
    number = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(number)
    logging.captureWarnings(True)


def without_secrets(text: str) -> str:
    """*text* with keys cut down to their public ids, and without the passwords of URLs."""
    if "iotf_" in text:
        text = _KEY.sub(r"\1_...", text)
    return _PASSWORD.sub(r"\1:...@", text) if "://" in text else text


def _time(record: logging.LogRecord) -> str:
    return to_iso(int(record.created * 1000))


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return getattr(record, "fields", {})
