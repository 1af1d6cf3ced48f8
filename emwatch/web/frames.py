"""What the page asks of the ledger and of the files it names; opened for each request, so that a new ledger is found."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from emwatch.errors import LedgerError
from emwatch.frame import FrameState
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.web.documents import frame_document, metadata_document, review_document, scores_document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from emwatch.ledger.query import LogRow
    from emwatch.pictures.cache import PictureCache
    from emwatch.pictures.reader import PictureReader

PAGE: Final = 60
MOST_ROWS: Final = 500
#: SQLite's largest integer.
_LARGEST_ID: Final = 2**63 - 1


class UnknownFrameError(LookupError):
    """No row of the ledger has this number."""


class Frames:
    """The rows of one ledger, and pictures of the files they are about."""

    def __init__(self, ledger: Path, pictures: PictureReader, cache: PictureCache) -> None:
        self._ledger = ledger
        self._pictures = pictures
        self._cache = cache

    @contextmanager
    def _reader(self) -> Iterator[LedgerReader]:
        with LedgerReader(self._ledger) as reader:
            yield reader

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
        return {
            **frame_document(row),
            "metadata": metadata_document(metadata),
            "flags": list(metadata.flags) if metadata is not None else [],
            "predictions": [
                {"bundle_sha256": bundle, "scores": scores_document(scores)} for bundle, scores in predictions.items()
            ],
            "reviews": [review_document(each) for each in reviews],
        }

    def picture(self, frame_id: int, longest_px: int, *, with_scale_bar: bool) -> bytes:
        """
        Return a frame as JPEG. Raises `UnknownFrameError`, or `errors.FrameError` if the file cannot be shown.

        Only files that the ledger names are ever read, and only while they hold the recorded bytes.
        """
        row = self.row(frame_id)
        if row.state is not FrameState.RECORDED:
            raise UnknownFrameError(f"frame {frame_id} was not read as a frame; there is no picture of it")
        key = (row.sha256, longest_px, with_scale_bar, row.pixel_size_nm)
        if (kept := self._cache.get(key)) is not None:
            return kept
        with self._reader() as reader:
            metadata = reader.metadata(frame_id)
        bar_rows = None if metadata is None else metadata.number("data_bar_height_px")
        made = self._pictures.read(
            row.path,
            longest_px,
            sha256=row.sha256,
            pixel_size_nm=row.pixel_size_nm,
            data_bar_rows=None if bar_rows is None else int(bar_rows),
            with_scale_bar=with_scale_bar,
        )
        self._cache.put(key, made.jpeg)
        return made.jpeg

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

    def width_px(self, frame_id: int) -> int | None:
        """Return the width of a frame as acquired, in pixels; ``None`` if it was not read."""
        with self._reader() as reader:
            size = reader.image_size(frame_id)
        return None if size is None else size[0]

    def targets_seen(self, names: list[str]) -> list[dict[str, Any]]:
        """Return for each target how often it was met, and its last frame."""
        seen = []
        with self._reader() as reader:
            for name in dict.fromkeys([*names, *reader.targets()]):
                wanted = LogFilter(target=name)
                last = next(reader.rows(replace(wanted, limit=1)), None)
                seen.append(
                    {
                        "name": name,
                        "configured": name in names,
                        "count": reader.count(wanted),
                        "last": None if last is None else frame_document(last),
                    }
                )
        return seen

    def choices(self) -> dict[str, Any]:
        """Return what filters can name: the targets that were met and the latest sessions."""
        with self._reader() as reader:
            sessions = reader.sessions()[:50]
            targets = reader.targets()
        return {
            "targets": list(targets),
            "sessions": [
                {"id": each.id, "name": each.name, "frames": each.frames, "hits": each.hits} for each in sessions
            ],
        }


def cursor(row: LogRow) -> str:
    """Return the place of a row in a listing, for an address."""
    return f"{row.recorded_at.astimezone(UTC).isoformat()}_{row.id}"
