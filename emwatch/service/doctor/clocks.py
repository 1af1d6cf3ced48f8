"""The instrument's clock against the PC's, from the newest rows of the ledger: no program is needed on the instrument."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError
from emwatch.ledger.sqlite_file import connect_to_read
from emwatch.service.doctor.finding import Checked, Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine

_ROWS: Final = 50
_FEWEST_ROWS: Final = 5
#: Settling, reading and a queue of frames take less.
_ALLOWED: Final = timedelta(minutes=2)
#: Frames of an archive are recorded at another pace than they were written: their delays differ by more than this ...
_ALIKE: Final = timedelta(minutes=2)
#: ... once they were recorded over more than this.
_LONG_ENOUGH: Final = timedelta(minutes=10)
_TIME_ZONE_STEP: Final = timedelta(minutes=15)
_SYNCHRONISE: Final = "timedatectl set-ntp true (here), and turn on time synchronisation on the instrument's PC"

_NEWEST: Final = (
    "SELECT f.recorded_at, f.file_modified_at, m.acquired_at FROM frames AS f LEFT JOIN metadata AS m ON m.frame_id = f.id"
    " WHERE f.superseded_by IS NULL AND f.state = 'recorded' ORDER BY f.recorded_at DESC LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class _Row:
    recorded: datetime
    modified: datetime | None
    acquired: datetime | None


def check(config: Config, machine: Machine) -> Iterator[Checked]:
    """Check both clocks; nothing can be said before some frames have been recorded as they were made."""
    rows = _newest(config.ledger.path)
    if not rows:
        return
    findings = []
    ahead = rows[0].recorded - machine.now
    if ahead > _ALLOWED:
        findings.append(
            Finding(
                "clock.pc",
                Level.ERROR,
                f"the newest frame was recorded at {rows[0].recorded:%Y-%m-%d %H:%M} UTC, {_words(ahead)} from now",
                "a clock that never goes back: alerts and sessions go by it",
                "timedatectl; then: timedatectl set-ntp true",
            )
        )
    delays = {
        "file times": [row.recorded - row.modified for row in rows if row.modified],
        "acquisition times": [row.recorded - row.acquired for row in rows if row.acquired],
    }
    recorded_over = rows[0].recorded - rows[-1].recorded
    for what, each in delays.items():
        findings += list(_difference(what, each, recorded_over))
    yield Checked("clock", f"the newest {len(rows)} rows compared with this PC's clock", tuple(findings))


def _newest(ledger: Path) -> list[_Row]:
    try:
        with closing(connect_to_read(ledger)) as connection:
            rows = connection.execute(_NEWEST, (_ROWS,)).fetchall()
    except (sqlite3.Error, LedgerError):  # told by the ledger's own check
        return []
    read = [tuple(map(_moment, row)) for row in rows]
    return [_Row(recorded, modified, acquired) for recorded, modified, acquired in read if recorded is not None]


def _moment(text: str | None) -> datetime | None:
    """Return a stored time; one without an offset is the instrument's local time, taken to be this PC's zone."""
    try:
        return datetime.fromisoformat(text).astimezone() if text else None
    except (ValueError, OverflowError):
        return None


def _difference(what: str, delays: Sequence[timedelta], recorded_over: timedelta) -> Iterator[Finding]:
    """
    Find how far the instrument's clock is off, from the delays between a frame's own time and its recording.

    A frame from the future is proof. A frame from the past may be of an archive: only delays that stay the same, while
    frames are recorded for a longer time, are those of a clock.
    """
    if len(delays) < _FEWEST_ROWS:
        return
    middle = timedelta(seconds=median(each.total_seconds() for each in delays))
    if abs(middle) <= _ALLOWED:
        return
    alike = max(delays) - min(delays) <= _ALIKE and recorded_over >= _LONG_ENOUGH
    if middle < -_ALLOWED or alike:
        where = "behind" if middle > timedelta() else "ahead of"
        zone = abs(middle - _TIME_ZONE_STEP * round(middle / _TIME_ZONE_STEP)) <= _ALLOWED
        mend = "timedatectl set-timezone ZONE on one of them, so that both have the same zone" if zone else _SYNCHRONISE
        yield Finding(
            "clock.instrument",
            Level.WARNING,
            f"by its {what} the instrument's clock is {_words(abs(middle))} {where} this PC's",
            f"a difference below {_words(_ALLOWED)}: sessions, ages and alerts.max_age_days go by these times",
            mend,
        )


def _words(difference: timedelta) -> str:
    minutes = difference.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.1f} days"
