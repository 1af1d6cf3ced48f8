"""Pictures kept on disk, outside the acquisition directory, so that a page of frames is drawn once."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from emwatch.foreign_file import read_bounded
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Hashable

#: The folder is measured once in so many additions.
_ADDITIONS_BETWEEN_PRUNINGS: Final = 200
#: Pruning leaves this share of what is allowed, so that it is rare.
_KEPT_SHARE: Final = 0.8
_LARGEST_BYTES: Final = 50_000_000
_JPEG_START: Final = b"\xff\xd8\xff"
_JPEG_END: Final = b"\xff\xd9"
#: Changes with how frames are drawn: pictures drawn otherwise are not shown any more.
_DRAWN: Final = 2


def picture_folder() -> Path:
    """Return where pictures are kept: systemd's cache directory, else the user's."""
    # systemd joins several directories with colons; the first is ours (systemd.exec(5)).
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    return Path(given or platformdirs.user_cache_dir("emwatch", appauthor=False)) / "pictures"


def picture_key(sha256: str, longest_px: int, *, with_scale_bar: bool, pixel_size_nm: float | None) -> Hashable:
    """Return what a frame's picture depends on."""
    return _DRAWN, sha256, longest_px, with_scale_bar, pixel_size_nm


def picture_version(sha256: str, pixel_size_nm: float | None) -> str:
    """Return a short text that is another one if a frame's picture of any size is."""
    return hashlib.sha256(repr((_DRAWN, sha256, pixel_size_nm)).encode()).hexdigest()[:12]


class PictureCache:
    """
    A folder of JPEG files by key; the least recently used go when they exceed ``most_bytes``.

    A cache is a convenience: a folder that cannot be written keeps nothing, and is no error.
    """

    def __init__(self, folder: Path, most_bytes: int = 500_000_000) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._added = 0

    def get(self, key: Hashable) -> bytes | None:
        """Return the picture of a key, ``None`` if it is not kept whole."""
        path = self._path(key)
        try:
            content = read_bounded(path, _LARGEST_BYTES)
            os.utime(path)
        except (OSError, ValueError):
            return None
        # A disk that failed may leave a file of the right size without its content.
        return content if content.startswith(_JPEG_START) and content.endswith(_JPEG_END) else None

    def put(self, key: Hashable, jpeg: bytes) -> None:
        """Keep a picture."""
        path = self._path(key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with written_whole(path) as made:
                made.write_bytes(jpeg)
        except OSError:
            return
        self._added += 1
        if self._added % _ADDITIONS_BETWEEN_PRUNINGS == 0:
            self.prune()

    def prune(self) -> None:
        """Remove the least recently used pictures if all together exceed the limit, and parts that a crash left."""
        found = []
        for path in self._folder.glob("*/*.jpg*"):
            try:
                stat = path.stat()
            except OSError:
                continue
            found.append((stat.st_mtime_ns, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= self._most_bytes:
            return
        for _, size, path in sorted(found):
            with suppress(OSError):
                path.unlink()
                total -= size
            if total <= self._most_bytes * _KEPT_SHARE:
                return

    def _path(self, key: Hashable) -> Path:
        name = hashlib.sha256(repr(key).encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.jpg"
