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
    from collections.abc import Iterator, Mapping, Sequence

    from emwatch.watch.patterns import Patterns


#: Files of one listing at most, so that a loop that sweeps can do other things in between.
_FILES_AT_A_TIME = 500
_NAMED = 5  # links of a folder in one message


@dataclass(frozen=True, slots=True)
class Listing:
    """
    Some of the wanted files directly inside one folder, by name; ``trouble`` says what of it could not be read.

    ``folders``: the inodes of the sub-folders that will be entered. ``empty``: there is nothing at all in the folder.
    """

    folder: Path
    files: Mapping[str, StatKey]
    trouble: str = ""
    folders: tuple[int, ...] = ()
    empty: bool = False


def sweep(
    root: Path, patterns: Patterns, *, start: Path | None = None, recursive: bool = True, max_depth: int = 16
) -> Iterator[Listing]:
    """
    List the wanted files of a directory tree, folder by folder, parents first; ``start``: only of that folder below it.

    Folders behind symbolic links are not entered; a link to a file counts only if the file lies inside the root.
    A file or folder that cannot be looked at is told as trouble and costs only itself.

    Raises:
        WatchError: the root itself cannot be listed: it is unavailable, which does not mean that its files are gone.

    """
    start = start or root
    pending = [(start, len(start.relative_to(root).parts))]
    while pending:
        folder, depth = pending.pop()
        if depth > (max_depth if recursive else 0):
            if recursive:
                yield Listing(folder, {}, f"{folder}: deeper than watch.max_depth ({max_depth}); not looked into")
            continue
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda each: each.name)
        except OSError as error:
            if folder == root:
                raise WatchError(
                    f"{root}: the watched directory is not available: {error.strerror or error}"
                ) from error
            if not isinstance(error, FileNotFoundError):
                yield Listing(folder, {}, f"{folder}: cannot be listed: {error.strerror or error}")
            continue
        if not entries:
            yield Listing(folder, {}, empty=True)
        folders: list[Path] = []
        for at in range(0, len(entries), _FILES_AT_A_TIME):
            yield _listing(folder, entries[at : at + _FILES_AT_A_TIME], root, patterns, folders)
        pending.extend((each, depth + 1) for each in reversed(folders))


def look(path: Path, root: Path, patterns: Patterns) -> StatKey | None:
    """
    Give the present state of one file, ``None`` where it is gone, not wanted, or not a regular file inside the root.

    Raises:
        OSError: it cannot be told, because the share or the disk does not answer as it should.

    """
    if not path.is_relative_to(root) or not patterns.wants_file(path.relative_to(root)):
        return None
    try:
        status: os.stat_result | None = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if status is not None and stat.S_ISLNK(status.st_mode):
        status = _follow(path, root)
    return StatKey.of(status) if status is not None and stat.S_ISREG(status.st_mode) else None


def _listing(
    folder: Path, entries: Sequence[os.DirEntry[str]], root: Path, patterns: Patterns, folders: list[Path]
) -> Listing:
    """Look at some entries of a folder: files go into the listing, sub-folders to enter into ``folders``."""
    files: dict[str, StatKey] = {}
    inodes: list[int] = []
    trouble = ""
    outward: list[str] = []
    below = folder.relative_to(root)
    below_text = below.as_posix()
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if patterns.wants_folder(below / entry.name):
                    folders.append(folder / entry.name)
                    inodes.append(entry.inode())
            elif patterns.wants_name(below_text, entry.name):
                if (key := _key(entry, root)) is not None:
                    files[entry.name] = key
                elif entry.is_symlink() and _leads_out(Path(entry.path), root):
                    outward.append(entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            trouble = trouble or f"{folder / entry.name}: cannot be looked at: {error.strerror or error}"
    if outward and not trouble:
        more = f" and {len(outward) - _NAMED} more" if len(outward) > _NAMED else ""
        names = ", ".join(outward[:_NAMED])
        trouble = f"{folder}: links that lead out of the watched directory are not followed: {names}{more}"
    return Listing(folder, files, trouble, tuple(inodes))


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


def _leads_out(link: Path, root: Path) -> bool:
    try:
        return not link.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False  # nowhere, or in a circle
