"""``emwatch meta --csv``: the metadata of a whole archive, one row a frame, written as it is read."""

from __future__ import annotations

import csv
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

import click

from emwatch.cli.commands.bars import with_bar
from emwatch.cli.terminal.display import csv_cell, is_terminal
from emwatch.cli.terminal.frames import failure_document, metadata_document, read_all, walk
from emwatch.cli.terminal.progress import naming
from emwatch.errors import FrameError
from emwatch.frame import DATA_BAR_SOURCE, FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from emwatch.cli.commands.bars import DataBars
    from emwatch.frame import FrameReading
    from emwatch.readers.sandbox.frame_sandbox import Sandbox

#: Columns before and after those of the fields. ``from_data_bar`` and ``computed`` list names of fields.
_BEFORE: Final = ("path", "vendor", "image_format", "width", "height", "pixel_type", "pages", "sha256")
_AFTER: Final = ("from_data_bar", "computed", "flags", "error", "reason")
COLUMNS: Final = (*_BEFORE, *FIELDS, *_AFTER)


def write_archive(paths: Sequence[Path], sandbox: Sandbox, bars: DataBars) -> tuple[int, int]:
    """
    Write a header and a row a frame to stdout; returns how many rows, and how many of them failed.

    A file that could not be read is a row with its code and reason. Neither rows nor names are kept, so an archive may be
    of any size. In a directory, files that are no frames are passed over.
    """
    writer = csv.writer(_Out(), lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = failed = 0
    with _progress(paths) as note:
        for asked, result in read_all(sandbox, walk(paths), pixels=False):
            note(asked.path.name)
            if asked.is_passed_over(result):
                continue
            rows += 1
            if isinstance(result, FrameError):
                failed += 1
                values = _failure(asked.path, result)
            else:
                values = _values(with_bar(result, bars.read(result)))
            writer.writerow([csv_cell(values.get(name)) for name in COLUMNS])
    return rows, failed


def _values(reading: FrameReading) -> dict[str, object]:
    metadata = reading.metadata
    known = {name: each for name, each in metadata.readings.items() if each.value is not None}
    return {
        **metadata_document(reading),
        "from_data_bar": " ".join(name for name in FIELDS if name in known and known[name].source == DATA_BAR_SOURCE),
        "computed": " ".join(name for name in FIELDS if name in known and known[name].computed),
        "flags": "; ".join(metadata.flags),
    }


def _failure(path: Path, error: FrameError) -> dict[str, object]:
    document = failure_document(path, error)
    return {"path": document["path"], "error": document["error"]["code"], "reason": document["error"]["message"]}


def _progress(paths: Sequence[Path]) -> AbstractContextManager[Callable[[str], None]]:
    """Return a function to call with each file's name: a bar on stderr if that is a terminal and stdout is not."""
    if is_terminal(sys.stdout):
        return nullcontext(lambda name: None)  # noqa: ARG005 - the same signature
    return naming(lambda: sum(1 for _ in walk(paths)))  # takes a look at each folder, and opens no file


class _Out:
    """The output of the CSV writer: the current stdout."""

    def write(self, text: str) -> None:
        click.echo(text, nl=False)
