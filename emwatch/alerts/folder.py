"""The channel that gathers the frames of alerts in a folder, with a table of them."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
import shutil
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from emwatch.alerts.channel import ChannelSettings
from emwatch.alerts.wording import as_document
from emwatch.errors import AlertError
from emwatch.foreign_file import OPEN_FLAGS
from emwatch.frame import path_to_text
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emwatch.alerts.alert import Alert

TABLE: Final = "hits.csv"
_COLUMNS: Final = (
    "queued_at",
    "target",
    "category",
    "probability",
    "reason",
    "file",
    "path",
    "magnification",
    "stage_tilt_deg",
    "stage_x_mm",
    "stage_y_mm",
    "frame_id",
    "recorded_at",
    "key",
)
#: File systems take names of 255 bytes; the number of the frame stands before it.
_LONGEST_NAME_BYTES: Final = 200


class FolderSettings(ChannelSettings):
    """Frames of alerts gathered in a folder that is not watched."""

    kind: Literal["folder"]
    folder: Path
    how: Literal["copy", "hardlink", "symlink"] = "copy"

    def open(self, show: Callable[[Alert], None]) -> FolderChannel:  # noqa: ARG002 - nothing is shown here
        """Return the channel that gathers."""
        return FolderChannel(self.folder, self.how)

    def written_folder(self) -> Path:
        """Return the folder."""
        return self.folder

    def doubts(self) -> Iterator[str]:
        """Find a folder that cannot be written; one that is missing is made."""
        folder = self.folder
        while not os.path.lexists(folder) and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            yield f"folder: {path_to_text(folder)}: is no folder that this user may write to"


class FolderChannel:
    """
    Puts each alert's frame into a folder and adds a line to ``hits.csv`` there.

    It disturbs nobody, so it gets every alert, whatever the policy. A frame that is gone, that was overwritten since, or
    that this user may not read leaves its line alone.

    Args:
        folder: made if it is missing.
        how: ``copy``; ``hardlink``, or a copy if that cannot be (another disk); ``symlink``.

    """

    kind: Final = "folder"
    silent: Final = True

    def __init__(self, folder: Path, how: Literal["copy", "hardlink", "symlink"] = "copy") -> None:
        self._folder = folder
        self._how = how
        self._turn = threading.Lock()

    def send(self, alert: Alert) -> None:
        """
        Gather a frame.

        Raises:
            AlertError: the folder cannot be written.

        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = self._gather(alert) if alert.frame_id else ""
            self._add_line({**as_document(alert), "file": name})
        except OSError as error:
            place = path_to_text(self._folder)
            raise AlertError(f"folder {place}: cannot be written: {error.strerror or error}") from error

    def _gather(self, alert: Alert) -> str:
        name = _name(alert)
        target = self._folder / name
        if os.path.lexists(target):
            return name
        if not _is_still(alert.path, alert.sha256):  # the line says what there was
            return ""
        if self._how == "symlink":
            target.symlink_to(alert.path)
        elif self._how == "copy" or not _linked(alert.path, target):
            with written_whole(target) as made:
                shutil.copyfile(alert.path, made)
        return name

    def _add_line(self, values: dict[str, object]) -> None:
        line = io.StringIO()
        table = csv.DictWriter(line, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        with self._turn, (self._folder / TABLE).open("a+b", buffering=0) as stream:
            size = stream.seek(0, os.SEEK_END)
            if size == 0:
                table.writeheader()
            table.writerow({name: _cell(value) for name, value in values.items()})
            content = line.getvalue().encode("utf-8", "backslashreplace")
            if size and stream.seek(-1, os.SEEK_END) >= 0 and stream.read(1) != b"\n":
                content = b"\n" + content
            _append(stream, content, size)


def _append(stream: io.FileIO, content: bytes, size: int) -> None:
    """Write all of it at the end or, if the disk is full, nothing: half a line would spoil those that come after it."""
    try:
        while content:
            content = content[stream.write(content) :]
    except OSError:
        stream.truncate(size)
        raise


def _is_still(path: Path, sha256: str) -> bool:
    """Return whether a regular file has this content (empty: any) and can be read; never waits for a pipe."""
    try:
        with os.fdopen(os.open(path, OPEN_FLAGS), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return False
            return not sha256 or hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES}:
            return False
        raise
    return True


def _name(alert: Alert) -> str:
    """Return a name that no other frame has: two directories may hold files of one name."""
    stem, suffix = os.path.splitext(path_to_text(alert.path.name).replace("\\", "_"))  # noqa: PTH122 - text, no path
    stem = "".join(char if char.isprintable() else "_" for char in stem)
    kept = stem.encode("utf-8")[: _LONGEST_NAME_BYTES - len(suffix.encode("utf-8")[:20])].decode("utf-8", "ignore")
    return f"{alert.frame_id}-{kept}{suffix[:20]}"


def _cell(value: object) -> object:
    """Return a cell of one line that a spreadsheet does not take for a formula."""
    if not isinstance(value, str):
        return value
    text = "".join(char if char.isprintable() else " " for char in value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
