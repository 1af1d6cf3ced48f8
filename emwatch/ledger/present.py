"""What is current: the files of one directory, and how many there are of each kind."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Text, bindparam, exists, func, select, type_coerce

from emwatch.frame import FrameState, text_to_path
from emwatch.ledger import row_values
from emwatch.ledger.schema import acquisition, alerts, frames, matches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection

    from emwatch.frame import StatKey


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a file as it stands: enough for a sweep to decide whether to look into it."""

    stat_key: StatKey | None
    state: FrameState
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class Counters:
    """Current rows: recorded frames, those of them that met a target, failed files; and alerts not yet delivered."""

    frames: int = 0
    hits: int = 0
    failed: int = 0
    waiting_alerts: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.frames + other.frames,
            self.hits + other.hits,
            self.failed + other.failed,
            self.waiting_alerts + other.waiting_alerts,
        )

    def __neg__(self) -> Counters:
        return Counters(-self.frames, -self.hits, -self.failed, -self.waiting_alerts)


#: A frame has met a target.
IS_HIT: Final[ColumnElement[bool]] = exists().where(matches.c.frame_id == frames.c.id)

_CURRENT: Final = frames.c.superseded_by.is_(None)

_STATES: Final = {str(state): state for state in FrameState}

_BETWEEN: Final = (
    select(frames.c.path, frames.c.stat_key, frames.c.state, type_coerce(frames.c.retry_at, Text).label("retry_at"))
    .where(_CURRENT, frames.c.path >= bindparam("start"), frames.c.path < bindparam("end"))
    .order_by(frames.c.path)
    .execution_options(yield_per=1000)
)

#: As many paths as asked for in one statement that never changes.
_AT_SOME: Final = select(
    frames.c.path, frames.c.stat_key, frames.c.state, type_coerce(frames.c.retry_at, Text).label("retry_at")
).where(_CURRENT, frames.c.path.in_(select(func.json_each(bindparam("paths")).table_valued("value").c.value)))

_WITHOUT_METADATA: Final = (
    select(frames.c.id)
    .join(acquisition, acquisition.c.frame_id == frames.c.id)
    .where(_CURRENT, frames.c.path == bindparam("path"), acquisition.c.vendor.is_(None))
)

_AT: Final = select(frames.c.stat_key, frames.c.state, frames.c.retry_at).where(
    _CURRENT, frames.c.path == bindparam("path")
)

_OF_PATH: Final = select(frames.c.state, IS_HIT.label("hit")).where(_CURRENT, frames.c.path == bindparam("path"))


def files_at(connection: Connection, paths: Iterable[Path]) -> dict[Path, Known]:
    """Give the current rows of some files; those without one are left out."""
    by_text = {row_values.path_text(path): path for path in paths}
    rows = connection.execute(_AT_SOME, {"paths": json.dumps(list(by_text))})
    return {
        by_text[path]: Known(
            row_values.stat_key_from(stat_key), _STATES[state], None if retry is None else datetime.fromisoformat(retry)
        )
        for path, stat_key, state, retry in rows
    }


def lacks_metadata(connection: Connection, path: Path) -> bool:
    """Tell whether a file's current row is a frame of which no vendor's metadata is known."""
    return connection.execute(_WITHOUT_METADATA, {"path": row_values.path_text(path)}).first() is not None


def file_at(connection: Connection, path: Path) -> Known | None:
    """Give the current row of one file."""
    row = connection.execute(_AT, {"path": row_values.path_text(path)}).first()
    return None if row is None else Known(row_values.stat_key_from(row.stat_key), FrameState(row.state), row.retry_at)


def files_directly_in(connection: Connection, directory: Path) -> dict[str, Known]:
    """
    Give the current rows of the files directly inside a directory, by file name.

    Reads along the index of paths and jumps over each sub-folder, so that the cost does not depend on what lies below.
    """
    folder = row_values.path_text(directory)
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    after_separator = chr(ord(os.sep) + 1)
    start, end = prefix, prefix[:-1] + after_separator
    found: dict[str, Known] = {}
    while start:
        rows, start = connection.execute(_BETWEEN, {"start": start, "end": end}), ""
        for path, stat_key, state, retry_at in rows:
            name, below, _ = path[len(prefix) :].partition(os.sep)
            if below:
                start = prefix + name + after_separator
                break
            if "\\" in name:
                name = os.fspath(text_to_path(name))
            retry = None if retry_at is None else datetime.fromisoformat(retry_at)
            found[name] = Known(row_values.stat_key_from(stat_key), _STATES[state], retry)
        rows.close()
    return found


def standing(connection: Connection, path: str) -> Counters:
    """Give what the current row of a path adds to the counters."""
    row = connection.execute(_OF_PATH, {"path": path}).one_or_none()
    if row is None:
        return Counters()
    recorded = row.state == FrameState.RECORDED
    return Counters(int(recorded), int(recorded and row.hit), int(row.state == FrameState.FAILED))


def count(connection: Connection) -> Counters:
    """Count everything anew."""
    recorded = frames.c.state == FrameState.RECORDED
    hits = (
        select(func.count(matches.c.frame_id.distinct()))
        .select_from(matches.join(frames, frames.c.id == matches.c.frame_id))
        .where(_CURRENT, recorded)
    )

    def current(state: FrameState) -> int:
        return connection.scalar(select(func.count()).select_from(frames).where(_CURRENT, frames.c.state == state)) or 0

    return Counters(
        frames=current(FrameState.RECORDED),
        hits=connection.scalar(hits) or 0,
        failed=current(FrameState.FAILED),
        waiting_alerts=connection.scalar(select(func.count()).select_from(alerts).where(alerts.c.state == "pending"))
        or 0,
    )
