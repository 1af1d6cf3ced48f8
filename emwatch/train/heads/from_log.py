"""Frames to learn from out of the ledger: those that people reviewed, whose files still hold the bytes they reviewed."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.dataset.labelled import UNREADABLE, LabelledFrame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from emwatch.ledger.query import LedgerReader, LogFilter, ReviewRow

_Kind = Literal["missing", "changed", "unreadable"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A reviewed file that teaches nothing."""

    path: Path
    kind: _Kind
    reason: str


@dataclass(frozen=True, slots=True)
class FromLog:
    """The reviewed frames that can teach, each content once, and those that cannot."""

    frames: list[LabelledFrame]
    left_out: list[LeftOut]


def reviewed_frames(reader: LedgerReader, wanted: LogFilter) -> FromLog:
    """
    Return the frames whose newest review names a category; for copies of a frame, the newest review of any of them counts.

    Their source is the instrument and the session in which they were taken, else the day. Raises `LedgerError`, and
    `DatasetError` if nothing is left.
    """
    found, left_out = FromLog([], []), []
    for copies in _by_content(row for row in reader.reviews(wanted) if row.counts):
        if copies[0].category is None:
            continue
        frames = [_frame(row, copies[0].category) for row in copies]
        usable = next((frame for frame in frames if isinstance(frame, LabelledFrame)), None)
        if usable is not None:
            found.frames.append(usable)
        else:
            left_out += [frame for frame in frames if isinstance(frame, LeftOut)]
    if not found.frames:
        kinds = Counter(each.kind for each in left_out)
        why = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none is reviewed as a category"
        raise DatasetError(
            f"{reader.name} has no reviewed frame to learn from ({why}): say what frames are with "
            "'emwatch review FRAME --as CATEGORY' or '--confirm'; 'emwatch review --list' shows what was said"
        )
    found.frames.sort(key=lambda frame: (frame.category, frame.path))
    found.left_out.extend(left_out)
    return found


def beside(frames: Sequence[LabelledFrame], reviewed: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """Put a dataset's frames beside reviewed ones; a file that is in both, and of the same category, comes once."""
    sizes = {frame.path.stat().st_size for frame in reviewed}
    known = {(_sha256(frame.path), frame.category) for frame in reviewed}
    kept = []
    for frame in frames:
        try:
            same = frame.path.stat().st_size in sizes and (_sha256(frame.path), frame.category) in known
        except OSError:  # told where it is read
            same = False
        if not same:
            kept.append(frame)
    return [*kept, *reviewed]


def check_categories(frames: Sequence[LabelledFrame]) -> None:
    """Raise `DatasetError` if a category has no frames that may teach."""
    there = {frame.category for frame in frames if frame.may_teach}
    if missing := [name for index, name in enumerate(CATEGORIES) if index not in there]:
        raise DatasetError(
            f"nothing teaches {', '.join(missing)}: review some, give a DATASET that has some, or let --drawn N draw them"
        )


def _by_content(rows: Iterable[ReviewRow]) -> list[list[ReviewRow]]:
    """Group by content, each group in the order of the rows: the newest first."""
    groups: dict[str, list[ReviewRow]] = {}
    for row in rows:
        groups.setdefault(row.sha256, []).append(row)
    return list(groups.values())


def _frame(row: ReviewRow, category: str) -> LabelledFrame | LeftOut:
    name = path_to_text(row.path)
    try:
        sha256 = _sha256(row.path)
    except FileNotFoundError:
        away = "" if row.path.parent.is_dir() else ", nor is its folder (is the share mounted?)"
        return LeftOut(row.path, "missing", f"{name}: is not there any more{away}")
    except OSError as error:
        return LeftOut(row.path, "unreadable", f"{name}: {error.strerror or error}")
    if sha256 != row.sha256:
        return LeftOut(row.path, "changed", f"{name}: holds other bytes than were reviewed")
    session = row.session or f"{row.recorded_at:%Y-%m-%d}"
    frame = LabelledFrame(
        row.path,
        CATEGORIES.index(category),
        source=" ".join(word for word in ("log", row.instrument, session) if word),
        instrument=row.instrument or "",
    )
    try:
        frame.grey()
    except UNREADABLE as error:
        return LeftOut(row.path, "unreadable", f"{name}: its picture cannot be read for training: {error}")
    return frame


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
