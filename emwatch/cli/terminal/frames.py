"""Shared by commands that read single files: the list of files, reading ahead, failures, the JSON of metadata."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.terminal.display import is_terminal, printable, tell_error
from emwatch.errors import NotAFrame, Vanished
from emwatch.frame import FIELDS, path_to_text
from emwatch.readers.sandbox.frame_sandbox import read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from emwatch.errors import FrameError
    from emwatch.frame import FrameReading
    from emwatch.readers.sandbox.frame_sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file to read; a file found in a directory is skipped if it is not an image."""

    path: Path
    found_in_directory: bool = False

    def is_passed_over(self, result: object) -> bool:
        """Return whether a file found in a directory is not an image."""
        return self.found_in_directory and isinstance(result, NotAFrame)


def gather(paths: Sequence[Path]) -> list[GivenFile]:
    """Return the given files, and those below given directories sorted by name, without hidden ones."""
    return list(walk(paths))


def walk(paths: Sequence[Path]) -> Iterator[GivenFile]:
    """Yield the files of `gather` one after the other, holding one folder's names at a time."""
    for path in paths:
        if not path.is_dir():
            yield GivenFile(path)
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            visible = (name for name in sorted(names) if not name.startswith("."))
            yield from (GivenFile(Path(folder, name), found_in_directory=True) for name in visible)


def is_single(paths: Sequence[Path]) -> bool:
    """Return whether one file was named: its JSON is one object, everything else is a list."""
    return len(paths) == 1 and not paths[0].is_dir()


def read_all(
    sandbox: Sandbox, files: Iterable[GivenFile], *, pixels: bool
) -> Iterator[tuple[GivenFile, FrameReading | FrameError]]:
    """Read files one after the other; the next one is read while the caller works on this one."""
    return read_ahead(files, [sandbox], lambda child, asked: child.begin(asked.path, pixels=pixels))


def metadata_document(reading: FrameReading) -> dict[str, Any]:
    """Return everything known of a frame: values by field name, and the source of each."""
    metadata = reading.metadata
    return {
        "path": path_to_text(reading.path),
        "vendor": metadata.vendor,
        "image_format": reading.image_format,
        "width": reading.width,
        "height": reading.height,
        "pixel_type": reading.pixel_type,
        "pages": reading.pages,
        "sha256": reading.sha256,
        **{name: metadata.value(name) for name in FIELDS},
        "sources": {
            name: {"raw": each.raw, "source": each.source, "computed": each.computed, "reason": each.reason}
            for name in FIELDS
            if (each := metadata.readings.get(name)) is not None
        },
        "flags": list(metadata.flags),
    }


def failure_document(path: Path, error: FrameError) -> dict[str, Any]:
    """Return the JSON document of a frame that could not be read."""
    return {"path": path_to_text(path), "error": {"code": error.code, "message": str(error)}}


@dataclass(slots=True)
class Tally:
    """Counts files and failures; prints each failure at once, and progress on a terminal."""

    total: int
    done: int = 0
    failed: int = 0
    _width: int = field(default_factory=lambda: shutil.get_terminal_size().columns)

    def next(self, asked: GivenFile) -> None:
        """Show which file comes next."""
        self.done += 1
        if self.total > 1 and is_terminal(sys.stderr):
            click.echo(
                f"\r\033[K{f'{self.done}/{self.total} {printable(asked.path)}'[: self._width - 1]}", nl=False, err=True
            )

    def passes_over(self, asked: GivenFile, error: FrameError) -> bool:
        """Report a file that could not be read; returns ``True`` if it was found in a directory and is not an image."""
        if asked.is_passed_over(error):
            return True
        self.failed += 1
        self.clear()
        # For the daemon a missing file existed once; here the user only named it.
        missing = isinstance(error, Vanished) and not asked.found_in_directory
        tell_error(f"{path_to_text(asked.path)}: no such file" if missing else str(error))
        return False

    def clear(self) -> None:
        """Remove the progress line."""
        if self.total > 1 and is_terminal(sys.stderr):
            click.echo("\r\033[K", nl=False, err=True)
