"""Logs on stderr: lines for people, JSON for machines, priorities for the journal."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TextIO

from emwatch.cli.terminal.display import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEVELS: Final = ("error", "warning", "info", "debug")
#: syslog(3) priorities, understood by journald at the start of a line (sd-daemon(3)).
_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


def set_up(level: str = "warning", log_format: str = "text", *, verbosity: int = 0) -> None:
    """
    Send the logs of emwatch to stderr, and warnings of the libraries with them; may be called again.

    ``verbosity``: the number of ``-v`` less the number of ``-q``, counted in steps of `LEVELS` from ``level``.
    """
    at = max(0, min(LEVELS.index(level) + verbosity, len(LEVELS) - 1))
    number = logging.getLevelNamesMapping()[LEVELS[at].upper()]
    handler = _StderrNow()
    handler.setFormatter(
        _JsonLines() if log_format == "json" else _JournalLines() if _is_journal(os.environ) else _PlainLines()
    )
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _StderrNow)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("emwatch").setLevel(number)


def _is_journal(environ: Mapping[str, str]) -> bool:
    """Return whether stderr is the journal's socket: the variable is inherited, so its numbers are compared (systemd.exec(5))."""
    given = environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return given == f"{status.st_dev}:{status.st_ino}"


#: Takes the writing of each line while something else than the logging thread is to do it.
_lines_to: Callable[[Callable[[], None]], None] | None = None


def send_lines_to(put: Callable[[Callable[[], None]], None] | None) -> None:
    """Hand the writing of each log line to ``put``, which calls it in its own time; ``None``: write at once again."""
    global _lines_to  # noqa: PLW0603 - the logs of a process are one
    _lines_to = put


class _StderrNow(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at the moment of writing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or hand the writing over."""
        if _lines_to is None:
            super().emit(record)
        else:
            _lines_to(partial(super().emit, record))

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute in the base; here it follows sys.stderr
        return sys.stderr


class _PlainLines(logging.Formatter):
    """``14:03:05 warning message``: one line an event, whatever is in a file name."""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        return "\n".join(f"{clock} {record.levelname.lower():<7} {line}" for line in self._lines(record))

    def _lines(self, record: logging.LogRecord) -> list[str]:
        trace = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return [printable(line) for line in (record.getMessage(), *trace)]


class _JournalLines(_PlainLines):
    """``<4>message``: the journal has its own clock."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in self._lines(record))


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event)
