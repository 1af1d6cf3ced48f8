"""The words of a question about frames, the same on the command line and in a page's address."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Final

from emwatch.ledger.times import parse_when

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Windows: how people call them, and the attribute of `LogFilter`.
RANGES: Final[Mapping[str, str]] = {
    "magnification": "magnification",
    "tilt": "stage_tilt_deg",
    "working_distance": "working_distance_mm",
    "voltage": "accelerating_voltage_kv",
    "pixel_size": "pixel_size_nm",
    "field_width": "horizontal_field_width_um",
    "stage_x": "stage_x_mm",
    "stage_y": "stage_y_mm",
    "margin": "margin",
    "novelty": "novelty",
}
_SHORT_END: Final = re.compile(r"\d{1,2}(-\d{1,2})?")
_READING: Final = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


class QuestionError(ValueError):
    """A question that makes no sense: ``key`` is the part that is wrong, the message says what is expected."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def period(asked: Mapping[str, str | None], now: datetime) -> tuple[datetime | None, datetime | None]:
    """
    Return the first and the last moment of ``since``, ``until`` and ``day`` (``2026-11-20``, ``2026-11-20..22``).

    The end of a range of days may leave out what it shares with the beginning. Raises `QuestionError`.
    """
    day = asked.get("day")
    if day and (asked.get("since") or asked.get("until")):
        raise QuestionError("day", "goes without since and until: it says both")
    first, last = _days(day) if day else (asked.get("since"), asked.get("until"))
    since = _moment("day" if day else "since", first, now, end=False)
    until = _moment("day" if day else "until", last, now, end=True)
    if since is not None and until is not None and since > until:
        raise QuestionError(
            "day" if day else "since",
            f"{first} ({since.astimezone():%Y-%m-%d %H:%M:%S}) is after {last} ({until.astimezone():%Y-%m-%d %H:%M:%S})",
        )
    return since, until


def _days(day: str) -> tuple[str, str]:
    first, dots, last = (part.strip() for part in day.partition(".."))
    if not dots:
        return first, first
    if _SHORT_END.fullmatch(last):  # 2026-11-20..22, 2026-11-20..12-03
        parts = last.split("-")
        last = "-".join([*first.split("-")[: 3 - len(parts)], *(part.zfill(2) for part in parts)])
    return first, last


def _moment(key: str, text: str | None, now: datetime, *, end: bool) -> datetime | None:
    if not text:
        return None
    try:
        return parse_when(text, now, end=end)
    except ValueError as error:
        raise QuestionError(key, str(error)) from error


def only_reading(connection: sqlite3.Connection) -> None:
    """Let a connection run nothing but questions: what writes, attaches or sets anything is refused."""

    def allowed(action: int, first: str | None, second: str | None, _database: str | None, _source: str | None) -> int:
        if action == sqlite3.SQLITE_FUNCTION and second == "load_extension":
            return sqlite3.SQLITE_DENY
        # The full-text index reads its own data version; every question ends with a rollback.
        harmless = {(sqlite3.SQLITE_PRAGMA, "data_version"), (sqlite3.SQLITE_TRANSACTION, "ROLLBACK")}
        reads = action in _READING or (action, first) in harmless
        return sqlite3.SQLITE_OK if reads else sqlite3.SQLITE_DENY

    connection.set_authorizer(allowed)


def checked_expression(connection: sqlite3.Connection, where: str) -> None:
    """Raise `QuestionError` if a text is not an SQL expression over the columns of ``v_log``."""
    only_reading(connection)
    try:
        connection.execute(f"SELECT 1 FROM v_log WHERE id = 0 AND (\n{where}\n)").close()  # noqa: S608 - the user's own, and it cannot write
    except (sqlite3.Error, sqlite3.Warning) as error:
        columns = ", ".join(row[0] for row in connection.execute("SELECT * FROM v_log LIMIT 0").description)
        raise QuestionError("where", f"{where!r}: {error}; it may use the columns of v_log: {columns}") from error
