"""The truth about what is in the acquisition directory: a plain walk, never a lock, never a write."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emwatch.errors import WatchError
from emwatch.frame import StatKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from emwatch.watch.patterns import Patterns


#: Files of one listing at most, so that a loop that sweeps can do other things in between.
_FILES_AT_A_TIME = 500
_SECONDS_AT_A_TIME = 0.1
_NAMED = 5  # links of a folder in one message


@dataclass(frozen=True, slots=True)
class Listing:
    """
    Some of the wanted files directly inside one folder, by name; ``trouble`` says what of it could not be read.

    ``inode``: of the folder, in the first listing of each sub-folder. ``empty``: there is nothing at all in the folder.
    """

    folder: Path
    files: Mapping[str, StatKey]
    trouble: str = ""
    inode: int | None = None
    empty: bool = False


def sweep(
    root: Path,
    patterns: Patterns,
    *,
    start: Path | None = None,
    recursive: bool = True,
    max_depth: int = 16,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[Listing]:
    """
    List the wanted files of a directory tree, folder by folder, parents first; ``start``: only of that folder below it.

    Folders behind symbolic links are not entered; a link to a file counts only if the file lies inside the root.
    A file or folder that cannot be looked at is told as trouble and costs only itself. A listing ends after 500 files, or
    0.1 s if looking at each takes long.

    Raises:
        WatchError: the root itself cannot be listed: it is unavailable, which does not mean that its files are gone.

    """
    start = start or root
    pending: list[tuple[Path, int, int | None]] = [(start, len(start.relative_to(root).parts), None)]
    while pending:
        folder, depth, inode = pending.pop()
        if depth > (max_depth if recursive else 0):
            if recursive and depth == max_depth + 1:  # what lies below it goes without saying
                yield Listing(folder, {}, f"{folder}: deeper than watch.max_depth ({max_depth}); not looked into")
            continue
        try:
            contents = _contents(folder, root, patterns)
        except OSError as error:
            if folder == root:
                raise WatchError(f"{root}: the directory is not available: {error.strerror or error}") from error
            if not isinstance(error, FileNotFoundError):
                yield Listing(folder, {}, f"{folder}: cannot be listed: {error.strerror or error}")
            continue
        yield from _listings(folder, contents, root, inode, monotonic)
        pending.extend(
            (folder / name, depth + 1, each) for name, each in sorted(contents.folders.items(), reverse=True)
        )


def _listings(
    folder: Path, contents: _Contents, root: Path, inode: int | None, monotonic: Callable[[], float]
) -> Iterator[Listing]:
    """Yield a folder's files in pieces; at least one, which says that the folder is there."""
    if not contents.names:
        yield Listing(folder, {}, contents.trouble, inode, contents.empty)
    at, trouble = 0, contents.trouble
    while at < len(contents.names):
        end = monotonic() + _SECONDS_AT_A_TIME
        files: dict[str, StatKey] = {}
        outward: list[str] = []
        first = at
        while at < len(contents.names) and at - first < _FILES_AT_A_TIME and (at == first or monotonic() < end):
            problem = _look_into(folder, contents.names[at], contents.links, root, files, outward)
            trouble = trouble or problem
            at += 1
        if outward and not trouble:
            more = f" and {len(outward) - _NAMED} more" if len(outward) > _NAMED else ""
            some = ", ".join(outward[:_NAMED])
            trouble = f"{folder}: links that lead out of the directory are not followed: {some}{more}"
        yield Listing(folder, files, trouble, inode)
        inode, trouble = None, ""


def stat_key_of(path: Path, root: Path, patterns: Patterns, max_depth: int = 16) -> StatKey | None:
    """
    Return the present state of one file, ``None`` if it is gone, not wanted, too deep, or not a regular file inside the root.

    Raises:
        OSError: it cannot be told, because the share or the disk does not answer as it should.

    """
    if not path.is_relative_to(root):
        return None
    below = path.relative_to(root)
    if len(below.parts) - 1 > max_depth or not patterns.wants_file(below):
        return None
    try:
        status: os.stat_result | None = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if status is not None and stat.S_ISLNK(status.st_mode):
        status = _follow(path, root)
    return StatKey.of(status) if status is not None and stat.S_ISREG(status.st_mode) else None


@dataclass(slots=True)
class _Contents:
    """What is in a folder by name: 100,000 directory entries that have been looked at would take 100 MB at each sweep."""

    names: list[str]  # of the wanted files, sorted
    links: set[str]  # those of them that are links
    folders: dict[str, int]  # to enter, with their inodes
    trouble: str = ""
    empty: bool = True


def _contents(folder: Path, root: Path, patterns: Patterns) -> _Contents:
    """Read a folder; raises `OSError`."""
    contents = _Contents([], set(), {})
    below = folder.relative_to(root)
    below_text = below.as_posix()
    with os.scandir(folder) as scan:
        for entry in scan:
            contents.empty = False
            try:
                if entry.is_dir(follow_symlinks=False):
                    if patterns.wants_folder(below / entry.name):
                        contents.folders[entry.name] = entry.inode()
                elif patterns.wants_name(below_text, entry.name):
                    contents.names.append(entry.name)
                    if entry.is_symlink():
                        contents.links.add(entry.name)
            except FileNotFoundError:
                continue
            except OSError as error:
                contents.trouble = contents.trouble or _cannot_be_looked_at(folder / entry.name, error)
    contents.names.sort()
    return contents


def _look_into(
    folder: Path, name: str, links: set[str], root: Path, files: dict[str, StatKey], outward: list[str]
) -> str:
    """Add the state of one file to ``files``, or a link to ``outward``; returns what is wrong with it, or ""."""
    path = os.path.join(folder, name)  # noqa: PTH118 - a third of the time
    try:
        if name not in links:
            status: os.stat_result | None = os.lstat(path)
        elif (status := _follow(Path(path), root)) is None and _leads_out(Path(path), root):
            outward.append(name)
        if status is not None and stat.S_ISREG(status.st_mode):
            files[name] = StatKey.of(status)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return _cannot_be_looked_at(folder / name, error)
    return ""


def _cannot_be_looked_at(path: Path, error: OSError) -> str:
    return f"{path}: cannot be looked at: {error.strerror or error}"


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
