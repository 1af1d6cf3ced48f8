"""Pictures of frames, made in a limited child process: a hostile file ends the child, not the program that shows it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from emwatch.pictures.render import Picture
from emwatch.readers.sandbox import wire
from emwatch.readers.sandbox.child_reader import ChildReader
from emwatch.readers.sandbox.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

_JPEG_START: Final = b"\xff\xd8\xff"
_SMALLEST_PX: Final = 16
_LARGEST_PX: Final = 4096


class PictureReader(ChildReader[Picture]):
    """Makes pictures one at a time; safe to call from several threads, which wait for each other."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__("emwatch.pictures.child", {}, limits or Limits(), "picture reader")
        self._turn = threading.Lock()

    def read(
        self,
        path: Path,
        longest_px: int,
        *,
        sha256: str = "",
        pixel_size_nm: float | None = None,
        data_bar_rows: int | None = None,
        with_scale_bar: bool = True,
    ) -> Picture:
        """
        Return the picture of a frame whose content has this sha256 (empty: any content); see `render.render`.

        Raises:
            Unsteady: the file has another content by now.
            FrameError: the file cannot be read, or two children died on it (`errors.ReaderDied`).
            EmwatchError: no child can be started.

        """
        request = {
            "longest_px": max(_SMALLEST_PX, min(longest_px, _LARGEST_PX)),
            "sha256": sha256,
            "pixel_size_nm": pixel_size_nm,
            "data_bar_rows": data_bar_rows,
            "with_scale_bar": with_scale_bar,
        }
        with self._turn:
            self._begin(path, request)
            return self._finish()

    def _understand(self, path: Path, header: dict[str, Any], payload: bytes) -> Picture:
        try:
            *sizes, bar_nm = header["facts"]
            width, height, frame_width, frame_height = (int(each) for each in sizes)
            length_nm = None if bar_nm is None else float(bar_nm)
            found = Picture(payload, width, height, frame_width, frame_height, length_nm)
        except (KeyError, TypeError, ValueError) as error:
            raise wire.GarbledError(f"the picture of {path} is not as expected: {error}") from error
        if not payload.startswith(_JPEG_START):
            raise wire.GarbledError(f"the picture of {path} is no JPEG file")
        return found
