"""What the page asks of the ledger; opened for each request, so that a new ledger is found."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emwatch.clock import SystemClock
from emwatch.errors import LedgerError
from emwatch.frame import CATEGORIES, FrameState
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.sqlite_file import beside
from emwatch.stage import field_of_view, offset
from emwatch.web.documents import (
    alert_document,
    frame_document,
    metadata_document,
    note_document,
    review_document,
    scores_document,
)
from emwatch.web.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from emwatch.ledger.query import LogRow

PAGE: Final = 60
MOST_ROWS: Final = 500
#: How long a ledger is taken for what it was: a newer emwatch may upgrade it in its place.
_TRUSTED_S: Final = 2.0
MOST_ON_MAP: Final = 10_000
#: Among so many of the newest frames, the newest with a position says where the stage stands.
_RECENT: Final = 50
#: SQLite's largest integer.
_LARGEST_ID: Final = 2**63 - 1


class UnknownFrameError(LookupError):
    """No row of the ledger has this number."""


class Frames:
    """The rows of one ledger."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._opened: tuple[tuple[int, int, int], LedgerReader] | None = None
        self.last_hour = Shared(self._last_hour)

    @contextmanager
    def _reader(self) -> Iterator[LedgerReader]:
        """
        Yield the ledger, opened anew if it is another file now, and every few seconds.

        A reader holds no file open between two questions, so that several threads may share it: what takes time is to
        open it and to make the SQL of its questions.
        """
        kept, key = self._opened, self._key()
        if kept is None or kept[0] != key:
            kept = (key, LedgerReader(self._ledger))
            self._opened = kept if kept[1].has_tables else None
        yield kept[1]

    def _key(self) -> tuple[int, int, int]:
        try:
            found = self._ledger.stat()
        except OSError:
            return 0, 0, -1  # a reader says what is wrong
        return found.st_dev, found.st_ino, int(time.monotonic() // _TRUSTED_S)

    def page(self, wanted: LogFilter, limit: int, before: tuple[datetime, int] | None) -> dict[str, Any]:
        """Return one page of rows, the newest first, with the place at which the next page begins."""
        limit = max(1, min(limit, MOST_ROWS))
        with self._reader() as reader:
            rows = list(reader.rows(replace(wanted, limit=limit + 1, before=before, newest_first=True)))
        shown, more = rows[:limit], len(rows) > limit
        return {
            "frames": [frame_document(row) for row in shown],
            "before": cursor(shown[-1]) if more else None,
        }

    def count(self, wanted: LogFilter) -> int:
        """Return how many rows a filter has."""
        with self._reader() as reader:
            return reader.count(wanted)

    def row(self, frame_id: int) -> LogRow:
        """Return a row by its number, also one that was overwritten since. Raises `UnknownFrameError`."""
        wanted = LogFilter(ids=(frame_id,), superseded=True, states=tuple(FrameState))
        found = None
        if frame_id <= _LARGEST_ID:
            with self._reader() as reader:
                found = next(reader.rows(wanted), None)
        if found is None:
            raise UnknownFrameError(f"no frame has number {frame_id}")
        return found

    def whole(self, frame_id: int) -> dict[str, Any]:
        """Return all that is known of a frame. Raises `UnknownFrameError`."""
        row = self.row(frame_id)
        wanted = LogFilter(ids=(frame_id,), superseded=True, states=tuple(FrameState))
        with self._reader() as reader:
            metadata = reader.metadata(frame_id)
            predictions = reader.scores(frame_id)
            reviews = reader.reviews(wanted)
            alerts = reader.alerts(frame_id=frame_id, limit=MOST_ROWS)
            notes = reader.notes(frame_id=frame_id)
        return {
            **frame_document(row),
            "metadata": metadata_document(metadata),
            "flags": list(metadata.flags) if metadata is not None else [],
            "predictions": [
                {"bundle_sha256": bundle, "scores": scores_document(scores)} for bundle, scores in predictions.items()
            ],
            "reviews": [review_document(each) for each in reviews],
            "alerts": [alert_document(each) for each in alerts],
            "from_here": self.from_here(row),
            "notes": [note_document(each) for each in notes],
        }

    def data_bar_rows(self, frame_id: int) -> int | None:
        """Return how many rows at a frame's foot are its data bar; ``None`` if that is not known."""
        with self._reader() as reader:
            metadata = reader.metadata(frame_id)
        rows = None if metadata is None else metadata.number("data_bar_height_px")
        return None if rows is None else int(rows)

    def stamp(self) -> tuple[int, ...]:
        """Return what changes when something is recorded: the times and sizes of the ledger and its -wal."""
        found = []
        file = Path(os.path.realpath(self._ledger))
        for each in (file, beside(file, "-wal")):
            try:
                stat = each.stat()
            except OSError:
                found += [0, -1]
            else:
                found += [stat.st_mtime_ns, stat.st_size]
        return tuple(found)

    def newest_id(self) -> int:
        """Return the highest number of a row; 0 in an empty ledger, or while there is none."""
        try:
            with self._reader() as reader:
                return reader.newest_id()
        except LedgerError:
            return 0

    def since(self, frame_id: int, limit: int = 100) -> list[dict[str, Any]]:
        """Return the rows with a higher number, the oldest first, at most ``limit`` of the newest."""
        wanted = LogFilter(after_id=frame_id, limit=limit, newest_first=True)
        with self._reader() as reader:
            rows = list(reader.rows(wanted))
        return [frame_document(row) for row in sorted(rows, key=lambda row: row.id)]

    def scored(self, scores: Mapping[int, float]) -> list[dict[str, Any]]:
        """Return the rows of frames that a search found, in its order, each with its ``score``."""
        if not scores:
            return []
        wanted = LogFilter(ids=tuple(scores), superseded=True)
        with self._reader() as reader:
            rows = {row.id: frame_document(row) for row in reader.rows(wanted)}
        return [{**rows[number], "score": score} for number, score in scores.items() if number in rows]

    def stage_map(self, wanted: LogFilter, *, on_sample: bool) -> dict[str, Any]:
        """
        Return where on the stage the newest frames of a filter were taken, at most `MOST_ON_MAP`.

        A frame is ``[number, category, 1 for a hit, x, y, corners...]`` with lengths in micrometres; the category is a
        position in ``categories``, -1 if there is none. ``newest`` is the frame at which the stage stood last.
        """
        with self._reader() as reader:
            found = reader.positions(replace(wanted, limit=MOST_ON_MAP + 1, newest_first=True))
        placed = []
        for each in found[:MOST_ON_MAP]:
            view = field_of_view(each.placement, on_sample=on_sample)
            if view is not None:
                category = CATEGORIES.index(each.category) if each.category in CATEGORIES else -1
                points = [round(number, 4) for point in (view.centre, *view.corners) for number in point]
                placed.append([each.frame_id, category, int(bool(each.targets)), *points])
        return {
            "categories": list(CATEGORIES),
            "frames": placed,
            "newest": placed[0][0] if placed else None,
            "without_position": min(len(found), MOST_ON_MAP) - len(placed),
            "truncated": len(found) > MOST_ON_MAP,
        }

    def from_here(self, row: LogRow) -> dict[str, Any] | None:
        """Return the way from where the stage stood last to a frame, ``None`` if one of the two is not known."""
        own = LogFilter(ids=(row.id,), superseded=True)
        latest = LogFilter(states=(FrameState.RECORDED,), instrument=row.instrument, limit=_RECENT)
        with self._reader() as reader:
            frames, recent = reader.positions(own), reader.positions(latest)
        end = field_of_view(frames[0].placement) if frames else None
        starts = ((each.frame_id, view) for each in recent if (view := field_of_view(each.placement)) is not None)
        start_id, start = next(starts, (0, None))
        if start is None or end is None or start_id == row.id:
            return None
        way = offset(start, end)
        return {
            "from_frame": start_id,
            "dx_um": way.dx_um,
            "dy_um": way.dy_um,
            "distance_um": way.distance_um,
            "text": f"{way.arrow} {way}",
        }

    def width_px(self, frame_id: int) -> int | None:
        """Return the width of a frame as acquired, in pixels; ``None`` if it was not read."""
        with self._reader() as reader:
            size = reader.image_size(frame_id)
        return None if size is None else size[0]

    def _last_hour(self) -> int:
        since = SystemClock().now() - timedelta(hours=1)
        return self.count(LogFilter(since=since, states=(FrameState.RECORDED,)))

    def targets_seen(self, names: list[str], now: datetime) -> dict[str, Any]:
        """Return for each target how often it was met, its last frame, and what became of its alerts."""
        seen = []
        with self._reader() as reader:
            snoozed = reader.snoozed(now)
            for name in dict.fromkeys([*names, *reader.targets()]):
                wanted = LogFilter(target=name)
                last = next(reader.rows(replace(wanted, limit=1)), None)
                unheard = reader.unacknowledged(target=name, ids=None)
                seen.append(
                    {
                        "name": name,
                        "configured": name in names,
                        "count": reader.count(wanted),
                        "last": None if last is None else frame_document(last),
                        "unacknowledged": len(unheard),
                        "newest_alert": max(unheard, default=None),
                        "snoozed_until": _text(snoozed.get(name)),
                    }
                )
        return {"targets": seen, "all_snoozed_until": _text(snoozed.get(""))}

    def targets(self) -> tuple[str, ...]:
        """Return the names of all targets that were ever met, also of those that are configured no more."""
        with self._reader() as reader:
            return tuple(reader.targets())

    def unacknowledged(self, target: str | None) -> list[int]:
        """Return the numbers of alerts that were told and that nobody has acknowledged; ``None``: of every target."""
        with self._reader() as reader:
            return reader.unacknowledged(target=target, ids=None)

    def alerts(self, target: str | None, limit: int) -> list[dict[str, Any]]:
        """Return alerts, the newest first."""
        with self._reader() as reader:
            return [alert_document(each) for each in reader.alerts(target=target, limit=limit)]

    def choices(self) -> dict[str, Any]:
        """Return what filters can name: the targets that were met and the latest sessions."""
        with self._reader() as reader:
            sessions = reader.sessions(latest=50)
            targets = reader.targets()
        return {
            "targets": list(targets),
            "sessions": [
                {"id": each.id, "name": each.name, "frames": each.frames, "hits": each.hits} for each in sessions
            ],
        }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def cursor(row: LogRow) -> str:
    """Return the place of a row in a listing, for an address."""
    return f"{row.recorded_at.astimezone(UTC).isoformat()}_{row.id}"
