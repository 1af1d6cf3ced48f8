"""Small pictures of recorded frames for maps, sheets and reports: kept in the cache, made in the picture child."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from emwatch.errors import FrameError
from emwatch.pictures.cache import picture_key
from emwatch.pictures.reader import PictureReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.ledger.positions import Position
    from emwatch.pictures.cache import PictureCache


@dataclass(frozen=True, slots=True)
class Pictured:
    """A recorded frame of which a picture is wanted; its scale bar is true if the pixel size is known."""

    frame_id: int
    path: Path
    sha256: str
    pixel_size_nm: float | None = None
    data_bar_height_px: float | None = None

    @classmethod
    def of(cls, position: Position) -> Self:
        """Return what is needed of a frame of a selection."""
        at = position.placement
        return cls(position.frame_id, position.path, position.sha256, at.pixel_size_nm, at.data_bar_height_px)


class Thumbnails:
    """Makes small pictures and counts what could not be shown; use `opened`."""

    def __init__(self, reader: PictureReader, cache: PictureCache) -> None:
        self._reader = reader
        self._cache = cache
        self.failed: dict[int, str] = {}

    def jpeg(self, frame: Pictured, longest_px: int, *, with_scale_bar: bool = True) -> bytes | None:
        """Return the picture of a frame, ``None`` if its file is gone or was overwritten (see ``failed``)."""
        key = picture_key(frame.sha256, longest_px, with_scale_bar=with_scale_bar, pixel_size_nm=frame.pixel_size_nm)
        if (kept := self._cache.get(key)) is not None:
            return kept
        bar_rows = frame.data_bar_height_px
        try:
            made = self._reader.read(
                frame.path,
                longest_px,
                sha256=frame.sha256,
                pixel_size_nm=frame.pixel_size_nm,
                data_bar_rows=None if bar_rows is None else int(bar_rows),
                with_scale_bar=with_scale_bar,
            )
        except FrameError as error:
            self.failed[frame.frame_id] = str(error)
            return None
        self._cache.put(key, made.jpeg)
        return made.jpeg


@contextmanager
def opened(cache: PictureCache) -> Iterator[Thumbnails]:
    """Yield what makes pictures; its child ends with the block."""
    with PictureReader() as reader:
        yield Thumbnails(reader, cache)
