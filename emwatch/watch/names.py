"""New names in a directory tree, from listings alone: no file is looked at, so a slow share answers quickly."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emwatch.errors import WatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emwatch.watch.patterns import Patterns

#: A directory time younger than this may hide a later change within the same tick of the file system's clock.
_TICK_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Appeared:
    """The wanted files and folders of one folder whose names were not there at the last walk. ``empty``: nothing is there."""

    folder: Path
    files: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    empty: bool = False


@dataclass(frozen=True, slots=True)
class _Folder:
    state: tuple[int, int, int] | None  # device, inode and mtime, if they tell that nothing changed
    names: str  # of what is no folder, joined: a tenth of the memory of a set
    folders: tuple[str, ...]
    empty: bool


class Names:
    """
    The names in a tree as they were listed last.

    Args:
        trusts_times: the file system changes a directory's mtime with its entries: an unchanged one is not listed again.

    """

    def __init__(
        self,
        root: Path,
        patterns: Patterns,
        *,
        max_depth: int,
        trusts_times: bool,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._root = root
        self._patterns = patterns
        self._max_depth = max_depth
        self._trusts_times = trusts_times
        self._now_ns = now_ns
        self._known: dict[Path, _Folder] | None = None

    def walk(self) -> Iterator[Appeared]:
        """
        List every folder, parents first, and yield for each what appeared in it; the first walk only notes what is there.

        A folder that appeared is not entered: whoever asks lists its files. One that cannot be listed keeps its names.

        Raises:
            WatchError: the root cannot be listed.

        """
        before, after = self._known, dict[Path, _Folder]()
        pending = [(self._root, 0)]
        while pending:
            path, depth = pending.pop()
            known = None if before is None else before.get(path)
            try:
                folder = self._list(path, known)
            except OSError as error:
                if path == self._root:
                    raise WatchError(f"{path}: the directory is not available: {error.strerror or error}") from error
                if known is not None:
                    after[path] = known
                continue
            after[path] = folder
            yield self._appeared(path, folder, known if before is not None else folder)
            if depth < self._max_depth:
                pending.extend((path / name, depth + 1) for name in reversed(folder.folders))
        self._known = after

    def _list(self, path: Path, known: _Folder | None) -> _Folder:
        state = None
        if self._trusts_times:
            status = path.stat()
            if abs(self._now_ns() - status.st_mtime_ns) > _TICK_NS:
                state = (status.st_dev, status.st_ino, status.st_mtime_ns)
            if known is not None and state is not None and known.state == state:
                return known
        names: list[str] = []
        folders: list[str] = []
        with os.scandir(path) as entries:
            for entry in entries:
                (folders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
        below = path.relative_to(self._root)
        wanted = tuple(sorted(name for name in folders if self._patterns.wants_folder(below / name)))
        return _Folder(state, "\0".join(names), wanted, empty=not (names or folders))

    def _appeared(self, path: Path, folder: _Folder, known: _Folder | None) -> Appeared:
        """Compare a folder with what was known of it; one that was not known has been handed out as a folder before."""
        if known is None or folder is known or (folder.names, folder.folders) == (known.names, known.folders):
            return Appeared(path, empty=folder.empty)
        below = path.relative_to(self._root).as_posix()
        new = set(folder.names.split("\0")) - set(known.names.split("\0")) - {""}
        files = tuple(path / name for name in sorted(new) if self._patterns.wants_name(below, name))
        folders = tuple(path / name for name in folder.folders if name not in known.folders)
        return Appeared(path, files, folders, folder.empty)
