"""What a process says of itself on standard error: one line an event, as JSON or for a person.

An event is a sentence that stays the same, with what differs in named fields. Failures are told
by their type and their frames: a message or a variable could quote a secret.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from traceback import extract_tb
from typing import Any, Final

FRAMES_MAX: Final = 20
_FIELDS: Final = "fields"
# Libraries whose news at `info` is the hub's business, not its operator's.
_NOISY: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "sqlalchemy")


class Logger:
    """Says events under one name of the standard library's logging."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **fields: object) -> None:
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._say(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Say an error with the type and the frames of the exception that is being handled."""
        self._say(logging.ERROR, event, fields, failure=sys.exception())

    def _say(
        self,
        level: int,
        event: str,
        fields: Mapping[str, object],
        failure: BaseException | None = None,
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={_FIELDS: fields}, exc_info=failure)


def get_logger(name: str = "aigne_hub") -> Logger:
    return Logger(name)


def configure_logging(level: str, *, as_json: bool) -> None:
    """Send the hub's events and its libraries' records to standard error, one line each."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _NOISY:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(number, logging.WARNING))


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: nothing that was logged can begin another."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "event": record.getMessage(),
            **_fields(record),
            "level": record.levelname.lower(),
            "timestamp": _instant(record),
        }
        return json.dumps(said, default=repr)


class Lines(logging.Formatter):
    """One line a person can read; what could steer a terminal is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_shown(value)}" for name, value in _fields(record).items())
        said = f"{_instant(record)} [{record.levelname.lower():<7}] {_plain(record.getMessage())}"
        return f"{said}  {fields}" if fields else said


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, _FIELDS, {}))
    failure = record.exc_info[1] if record.exc_info else None
    if failure is not None:
        frames = extract_tb(failure.__traceback__)[-FRAMES_MAX:]
        fields["error"] = type(failure).__qualname__
        fields["frames"] = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return fields


def _instant(record: logging.LogRecord) -> str:
    instant = datetime.fromtimestamp(record.created, UTC)
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _shown(value: object) -> str:
    return _plain(value) if isinstance(value, str) and value and " " not in value else repr(value)


def _plain(text: str) -> str:
    return text if text.isprintable() else repr(text)
