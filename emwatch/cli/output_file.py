"""Files that a command makes for people: written whole, and never into a watched directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from emwatch.cli.terminal.display import printable
from emwatch.errors import ConfigError, EmwatchError
from emwatch.filesystem import real_path
from emwatch.frame import path_to_text
from emwatch.whole_file import check_writable, written_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from emwatch.config import Config


def format_of(path: Path, known: Sequence[str]) -> str:
    """Return which of the known formats a file's suffix means. Raises click's usage error for another one."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in known:
        endings = " or ".join(f".{each}" for each in known)
        raise click.BadParameter(f"{printable(path)}: the name must end in {endings}", param_hint="'--out'")
    return suffix


def refuse_watched_output(config: Config, path: Path, option: str = "--out") -> None:
    """Raise `ConfigError` if a file that is to be written lies in a watched directory."""
    place = real_path(path)
    for root in config.watch.directory:
        if place.is_relative_to(real_path(root)):
            raise ConfigError(
                f"{option}: {path_to_text(place)} lies in the watched directory {path_to_text(root)}, which emwatch never "
                "writes to; choose a place outside it"
            )


def check_output(config: Config, path: Path) -> None:
    """
    Check, before long work, that a file can be written.

    Raises:
        ConfigError: it lies in a watched directory.
        EmwatchError: the place cannot be written.

    """
    refuse_watched_output(config, path)
    place = real_path(path)
    if place.is_dir():
        raise EmwatchError(f"--out: {path_to_text(place)} is a directory; name a file")
    try:
        check_writable(place.parent)
    except OSError as error:
        raise EmwatchError(f"--out: {os.fspath(path)} cannot be written: {error.strerror or error}") from error


def write_output(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all, and say so on stderr. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    with written_whole(path) as made:
        made.write_bytes(data)
    size = f"{len(data) / 1e6:.1f} MB" if len(data) >= 100_000 else f"{max(len(data) / 1e3, 0.1):.1f} kB"
    click.echo(f"written: {printable(path)} ({size})", err=True)
