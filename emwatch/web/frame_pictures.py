"""Pictures of recorded frames for many open pages: each is drawn once, and kept in memory for the next who asks."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emwatch.errors import EmwatchError
from emwatch.frame import FrameState
from emwatch.pictures.cache import picture_key, picture_version
from emwatch.web.frames import UnknownFrameError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emwatch.ledger.query import LogRow
    from emwatch.pictures.cache import PictureCache
    from emwatch.pictures.reader import PictureReader
    from emwatch.web.frames import Frames

#: What the live page shows of a frame: a tile of the strip, and the newest one large.
TILE_PX: Final = 320
LARGE_PX: Final = 1280
_MOST_BYTES: Final = 32_000_000
#: For who does not say which version he asks for: a late data bar may have brought another scale bar.
_TRUSTED_S: Final = 10.0
#: Tiles of a burst that are drawn before the pages are told; they show no more.
_MOST_TILES: Final = 24
_LOCKS: Final = 8


class KeptPicture(NamedTuple):
    """A JPEG file, and the version of what it shows; ``read_at``: monotonic seconds at which its row was read."""

    version: str
    jpeg: bytes
    read_at: float


class FramePictures:
    """The pictures of one ledger's frames; safe to call from several threads."""

    def __init__(self, frames: Frames, reader: PictureReader, cache: PictureCache) -> None:
        self._frames = frames
        self._reader = reader
        self._cache = cache
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._changing = threading.Lock()
        self._kept: dict[tuple[int, int, bool], KeptPicture] = {}
        self._kept_bytes = 0

    def get(self, frame_id: int, longest_px: int, *, with_scale_bar: bool, version: str = "") -> KeptPicture:
        """
        Return a frame as JPEG; ``version``: as in the frame's document, if known, so that the ledger need not be asked.

        Only files that the ledger names are ever read, and only while they hold the recorded bytes. Raises
        `UnknownFrameError`, or `errors.FrameError` if the file cannot be shown.
        """
        asked = (frame_id, longest_px, with_scale_bar)
        if (kept := self._known(asked, version)) is not None:
            return kept
        with self._locks[hash(asked) % _LOCKS]:
            if (kept := self._known(asked, version)) is not None:  # drawn for another page meanwhile
                return kept
            read_at = time.monotonic()
            row = self._frames.row(frame_id)
            if row.state is not FrameState.RECORDED:
                raise UnknownFrameError(f"frame {frame_id} was not read as a frame; there is no picture of it")
            jpeg = self._drawn(row, longest_px, with_scale_bar=with_scale_bar)
            kept = KeptPicture(picture_version(row.sha256, row.pixel_size_nm), jpeg, read_at)
            self._keep(asked, kept)
            return kept

    def prepare(self, frames: Iterable[dict[str, Any]]) -> None:
        """Draw what open pages show of new frames, given as documents, the oldest first."""
        shown = [each for each in frames if each["state"] == FrameState.RECORDED]
        wanted = [(each, LARGE_PX, True) for each in shown[-1:]]
        wanted += [(each, TILE_PX, False) for each in reversed(shown[-_MOST_TILES:])]
        for frame, longest_px, with_scale_bar in wanted:
            with suppress(EmwatchError, UnknownFrameError):  # who asks for it is told why
                self.get(frame["id"], longest_px, with_scale_bar=with_scale_bar, version=frame["picture_version"])

    def _known(self, asked: tuple[int, int, bool], version: str) -> KeptPicture | None:
        kept = self._kept.get(asked)
        if kept is None:
            return None
        if version:
            return kept if kept.version == version else None
        return kept if time.monotonic() - kept.read_at < _TRUSTED_S else None

    def _keep(self, asked: tuple[int, int, bool], kept: KeptPicture) -> None:
        with self._changing:
            before = self._kept.pop(asked, None)
            self._kept_bytes += len(kept.jpeg) - (0 if before is None else len(before.jpeg))
            self._kept[asked] = kept
            while self._kept_bytes > _MOST_BYTES and len(self._kept) > 1:
                self._kept_bytes -= len(self._kept.pop(next(iter(self._kept))).jpeg)

    def _drawn(self, row: LogRow, longest_px: int, *, with_scale_bar: bool) -> bytes:
        key = picture_key(row.sha256, longest_px, with_scale_bar=with_scale_bar, pixel_size_nm=row.pixel_size_nm)
        jpeg = self._cache.get(key)
        if jpeg is None:
            jpeg = self._reader.read(
                row.path,
                longest_px,
                sha256=row.sha256,
                pixel_size_nm=row.pixel_size_nm,
                data_bar_rows=self._frames.data_bar_rows(row.id) if with_scale_bar else None,
                with_scale_bar=with_scale_bar,
            ).jpeg
            self._cache.put(key, jpeg)
        return jpeg
