"""Logging: stable event names with fields, to stderr, readable on a terminal and as JSON lines in a container.

Set up once by a front end with `configure`; every module holds `log = get_logger(__name__)`. Protects the rule that
no secret and no terminal escape reaches a log: fields, messages of libraries and tracebacks all pass redaction.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, TextIO

from sre_agent.redaction import redact, redact_text

ROOT = "sre_agent"
_FIELDS = "sre_agent_fields"
_HANDLER_NAME = "sre_agent"


class EventLogger:
    """Logs events of one module: `log.event("run.finished", run_id=..., status=...)`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, /, **fields: object) -> None:
        self._log(logging.DEBUG, event, fields)

    def event(self, event: str, /, **fields: object) -> None:
        """Something happened that is worth a line (INFO)."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, /, **fields: object) -> None:
        """An error that nobody expected, with the traceback of the exception being handled."""
        self._log(logging.ERROR, event, fields, exc_info=True)

    def _log(self, level: int, event: str, fields: dict[str, object], *, exc_info: bool = False) -> None:
        self._logger.log(level, "%s", event, extra={_FIELDS: fields}, exc_info=exc_info)


def get_logger(name: str) -> EventLogger:
    """The logger of a module; `name` is its `__name__`."""
    return EventLogger(logging.getLogger(name))


def configure(level: str, *, json_lines: bool, stream: TextIO) -> None:
    """Sends the logs of this process to `stream` (stderr). `level` is ours; libraries speak from WARNING on.

    May be called again: the handler of an earlier call is replaced.
    """
    handler = logging.StreamHandler(stream)
    handler.name = _HANDLER_NAME
    handler.setFormatter(_JsonFormatter() if json_lines else _TextFormatter())
    root = logging.getLogger()
    for earlier in [held for held in root.handlers if held.name == _HANDLER_NAME]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # a read that is tried again is no news; its end is
    logging.getLogger(ROOT).setLevel(level)


def follow(module: str) -> None:
    """Lets one module of ours tell its events, whatever the level of the others."""
    logging.getLogger(module).setLevel(logging.INFO)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The redacted fields as JSON values. What JSON does not know becomes text first, so that it is redacted too."""
    fields = json.loads(json.dumps(getattr(record, _FIELDS, {}), default=str, skipkeys=True))
    redacted: dict[str, Any] = redact(fields)
    return redacted


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


class _JsonFormatter(logging.Formatter):
    """{time, level, logger, event, ...fields, exception?}; a field cannot take the place of these keys."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": redact_text(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = redact_text(self.formatException(record.exc_info))
        fields = {key: value for key, value in _fields(record).items() if key not in line}
        return json.dumps(line | fields, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    """`07:05:04 WARNING run.crashed run_id=7 error="two words"`, then the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        message = redact_text(record.getMessage()).replace("\n", "\\n")
        fields = "".join(f" {key}={_word(value)}" for key, value in _fields(record).items())
        line = f"{_time(record):%H:%M:%S} {record.levelname} {message}{fields}"
        if not record.exc_info:
            return line
        return f"{line}\n{redact_text(self.formatException(record.exc_info))}"


def _word(value: Any) -> str:
    """A value as one word: bare where it can be, else as JSON, so that no value can look like another field."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    plain = isinstance(value, str) and text and not any(char in ' \t\n"=' for char in text)
    return text if plain or not isinstance(value, str) else json.dumps(value, ensure_ascii=False)
