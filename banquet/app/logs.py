"""Logs as JSON lines: time, level, logger, message, and whatever a record carries as `extra`."""

from __future__ import annotations

import ast
import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from banquet.core.pseudonyms import Pseudonyms

# What every record has anyway; the rest came as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUOTED = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_ANYTHING = re.compile(_QUOTED)
# How texts name a user: user 'u1', user_id 'u1', user_id='u1', "user_id": "u1".
_USER = re.compile(r"""(\busers?(?:_id)?["']?\s*[=:]?\s*)""" + _QUOTED)


class JsonLines(logging.Formatter):
    """With `pseudonyms`, users are named by those: wherever a text says `user 'id'`, and in the words of every exception."""

    def __init__(self, pseudonyms: Pseudonyms | None = None) -> None:
        super().__init__()
        self._pseudonyms = pseudonyms

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._hidden(record.getMessage()),
        }
        entry |= {key: self._extra(key, value) for key, value in vars(record).items() if key not in _OWN}
        if record.exc_info:
            entry["exception"] = self._hidden_words(self.formatException(record.exc_info))
        return json.dumps(entry, default=lambda value: self._hidden(str(value)))

    def _extra(self, key: str, value: object) -> object:
        if self._pseudonyms is None:
            return value
        if key == "user_id":
            return self._pseudonyms.of(str(value))
        if isinstance(value, list | tuple):
            return [self._extra("", part) for part in value]
        return self._hidden(value) if isinstance(value, str) else value

    def _hidden(self, text: str) -> str:
        if self._pseudonyms is None:
            return text
        return _USER.sub(lambda found: found[1] + self._named(found[2]), text)

    def _hidden_words(self, trace: str) -> str:
        """What an exception quotes may be an id; the code it came through, which is indented, has none."""
        if self._pseudonyms is None:
            return trace
        lines = trace.splitlines()
        return "\n".join(line if line[:1] == " " else _ANYTHING.sub(lambda found: self._named(found[1]), line) for line in lines)

    def _named(self, quoted: str) -> str:
        assert self._pseudonyms is not None, "nobody asks otherwise"
        try:
            name = ast.literal_eval(quoted)
        except (ValueError, SyntaxError):
            name = quoted[1:-1]
        return f"{quoted[0]}{self._pseudonyms.of(str(name))}{quoted[0]}"


def log_to_stderr(level: str, pseudonyms: Pseudonyms | None = None) -> None:
    """Send every log record of this process to stderr as one JSON line, and what would end the process or a thread as well."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(pseudonyms))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda told: _log_uncaught(told.exc_type, told.exc_value, told.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger("banquet").critical("not caught", exc_info=error if error is not None else (kind, None, trace))  # type: ignore[arg-type]
