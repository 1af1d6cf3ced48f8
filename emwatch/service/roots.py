"""The directories to watch, and what may not be: found by `emwatch config check` as well as at the start."""

from __future__ import annotations

import os
from itertools import combinations
from typing import TYPE_CHECKING

from emwatch.errors import ConfigError
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.config import Config


def checked_roots(config: Config) -> tuple[Path, ...]:
    """
    Give the watched directories with symbolic links resolved: events and the type of the file system are the real ones'.

    Raises:
        ConfigError: there is none, one is a file, two overlap (each frame would be there twice), or the ledger lies in one of them,
            which emwatch never writes to.

    """
    roots = tuple(directory.resolve() for directory in config.watched_directories())
    for root in roots:
        if os.path.isfile(root):  # noqa: PTH113 - a Path raises where it may not look; what is not there yet is waited for
            raise ConfigError(
                f"watch.directory: {path_to_text(root)} is a file; name the directory that frames come into"
            )
    for one, other in combinations(roots, 2):
        if one.is_relative_to(other) or other.is_relative_to(one):
            raise ConfigError(
                f"watch.directory: {path_to_text(one)} and {path_to_text(other)} overlap; name each directory once"
            )
    ledger = config.ledger.path.resolve()
    if os.path.isdir(ledger):  # noqa: PTH112 - as above
        raise ConfigError(f"ledger.path: {path_to_text(ledger)} is a directory; name a file in it")
    backups = config.ledger.backups.resolve()
    for root in roots:
        if ledger.is_relative_to(root):
            raise ConfigError(
                f"ledger.path: {path_to_text(ledger)} lies in the watched directory {path_to_text(root)}, which emwatch "
                "never writes to; choose a place outside it"
            )
        if backups.is_relative_to(root):
            raise ConfigError(
                f"ledger.backup_directory: {path_to_text(backups)} lies in the watched directory {path_to_text(root)}, "
                "which emwatch never writes to; choose a place outside it"
            )
    return roots
