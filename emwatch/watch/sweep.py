"""The truth about what is in the acquisition directory: a plain walk, never a lock, never a write."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emwatch.errors import WatchError
from emwatch.frame import StatKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from emwatch.watch.patterns import Patterns


@dataclass(frozen=True, slots=True)
class Listing:
    """The wanted files directly inside one folder, by name; ``trouble`` says why a folder could not be read."""

    folder: Path
    files: Mapping[str, StatKey]
    trouble: str = ""


def sweep(
    root: Path, patterns: Patterns, *, start: Path | None = None, recursive: bool = True, max_depth: int = 16
) -> Iterator[Listing]:
    """
    List the wanted files of a directory tree, folder by folder, parents first; ``start``: only of that folder below it.

    Folders behind symbolic links are not entered; a link to a file counts only if the file lies inside the root.

    Raises:
        WatchError: the root itself cannot be listed: it is unavailable, which does not mean that its files are gone.

    """
    start = start or root
    pending = [(start, len(start.relative_to(root).parts))]
    while pending:
        folder, depth = pending.pop()
        try:
            files, folders = _list(folder, root, patterns)
        except OSError as error:
            if folder == root:
                raise WatchError(
                    f"{root}: the watched directory is not available: {error.strerror or error}"
                ) from error
            if not isinstance(error, FileNotFoundError):
                yield Listing(folder, {}, f"{folder}: cannot be listed: {error.strerror or error}")
            continue
        yield Listing(folder, files)
        if recursive and depth < max_depth:
            pending.extend((each, depth + 1) for each in reversed(folders))


def look(path: Path, root: Path, patterns: Patterns) -> StatKey | None:
    """Give the present state of one file, ``None`` where it is gone, not wanted, or not a regular file inside the root."""
    if not path.is_relative_to(root) or not patterns.wants_file(path.relative_to(root)):
        return None
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            status = _follow(path, root) or status
    except OSError:
        return None
    return StatKey.of(status) if stat.S_ISREG(status.st_mode) else None


def _list(folder: Path, root: Path, patterns: Patterns) -> tuple[dict[str, StatKey], list[Path]]:
    files: dict[str, StatKey] = {}
    folders: list[Path] = []
    below = folder.relative_to(root)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            relative = below / entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if patterns.wants_folder(relative):
                        folders.append(folder / entry.name)
                elif patterns.wants_file(relative) and (key := _key(entry, root)) is not None:
                    files[entry.name] = key
            except FileNotFoundError:
                continue
    return files, folders


def _key(entry: os.DirEntry[str], root: Path) -> StatKey | None:
    status: os.stat_result | None
    status = _follow(Path(entry.path), root) if entry.is_symlink() else entry.stat(follow_symlinks=False)
    return StatKey.of(status) if status is not None and stat.S_ISREG(status.st_mode) else None


def _follow(link: Path, root: Path) -> os.stat_result | None:
    """Look behind a symbolic link, as long as it does not lead out of the root, in a circle, or nowhere."""
    try:
        target = link.resolve(strict=True)
        return target.stat() if target.is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError):
        return None
