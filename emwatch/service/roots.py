"""Checks of the directories to watch, made by `emwatch config check` and at the start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from emwatch.errors import ConfigError
from emwatch.filesystem import real_path
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from emwatch.config import Config


def checked_roots(config: Config) -> tuple[Path, ...]:
    """
    Return the watched directories with symbolic links resolved: events and file system are those of the real place.

    Raises:
        ConfigError: there is none, or one may not be watched; see `check_root`.

    """
    roots = []
    for configured in config.watched_directories():
        root = real_path(configured)
        check_root(config, configured, root)
        roots.append(root)
    ledger = real_path(config.ledger.path)
    if os.path.isdir(ledger):  # noqa: PTH112 - a Path raises where it may not look
        raise ConfigError(f"ledger.path: {path_to_text(ledger)} is a directory; name a file in it")
    return tuple(roots)


def check_root(config: Config, configured: Path, root: Path) -> None:
    """
    Check the place that a configured directory leads to.

    Raises:
        ConfigError: it is a file, it overlaps with another watched directory (each frame would be there twice), or the
            ledger or its backups lie in it, which emwatch never writes to.

    """
    name = path_to_text(root)
    if os.path.isfile(root):  # noqa: PTH113 - a Path raises where it may not look; what is not there yet is waited for
        raise ConfigError(f"watch.directory: {name} is a file; name the directory that frames come into")
    directories = list(config.watched_directories())
    directories.remove(configured)
    for other in (real_path(each) for each in directories):
        if root.is_relative_to(other) or other.is_relative_to(root):
            raise ConfigError(f"watch.directory: {name} and {path_to_text(other)} overlap; name each directory once")
    _refuse_inside(config, root)


def refuse_watched(config: Config) -> None:
    """
    Check that the ledger and its backups lie in no watched directory.

    Raises:
        ConfigError: one does.

    """
    for root in config.watch.directory:
        _refuse_inside(config, real_path(root))


def archive_roots(config: Config, directories: Sequence[Path]) -> list[Path]:
    """
    Return archives to be scanned as they were named, links and all: a cluster sees them by these names.

    One that is another, or lies in it, is left out: its files would be read twice, and recorded under two paths.

    Raises:
        ConfigError: the ledger or its backups would lie in one.

    """
    real = [(real_path(each), each) for each in reversed(directories)]
    named = {root: root if ".." in each.parts else each.absolute() for root, each in real}
    for root in named:
        _refuse_inside(config, root, "archive")
    return [
        name
        for root, name in reversed(named.items())
        if not any(root != other and root.is_relative_to(other) for other in named)
    ]


def _refuse_inside(config: Config, root: Path, what: str = "watched directory") -> None:
    path, backups = config.ledger.path, config.ledger.backups
    places = (
        (
            "ledger.path",
            real_path(path.parent) / path.name,
        ),  # of a link both ends: the lock and the reviews lie beside it
        ("ledger.path", real_path(path)),
        ("ledger.backup_directory", real_path(backups)),
    )
    for key, place in places:
        if place.is_relative_to(root):
            raise ConfigError(
                f"{key}: {path_to_text(place)} lies in the {what} {path_to_text(root)}, which emwatch never "
                "writes to; choose a place outside it"
            )
