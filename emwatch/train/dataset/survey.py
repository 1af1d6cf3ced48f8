"""One look at every frame of a dataset, before an hour is spent on it: can it be read, what is it, which others is it like."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch.classify.preprocess import prepared_by
from emwatch.errors import FrameError
from emwatch.readers.sandbox.frame_sandbox import Sandbox, read_ahead
from emwatch.train.dataset.duplicates import exact_duplicates, fingerprint, near_duplicates, repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from emwatch.frame import FrameReading
    from emwatch.train.dataset.labelled import LabelledFrame

#: A frame in hand and the next one: the child never waits for its parent.
_CHILDREN: Final = 2


@dataclass(frozen=True, slots=True)
class Look:
    """What reading a labelled frame's file showed. Everything after ``error`` is empty if it could not be read."""

    frame: LabelledFrame
    error: str = ""  #: why it cannot be read
    sha256: str = ""
    fingerprint: bytes = b""  #: see `duplicates.fingerprint`
    width: int = 0
    height: int = 0
    pixel_type: str = ""
    image_format: str = ""
    vendor: str = ""
    magnification: float | None = None
    session: str = ""  #: instrument, serial number and day, if the file has them

    @property
    def is_read(self) -> bool:
        """Return whether the file could be read."""
        return not self.error


def look_at(
    frames: Sequence[LabelledFrame],
    tell: Callable[[int], None] | None = None,
    complete: Callable[[FrameReading], FrameReading] | None = None,
) -> list[Look]:
    """
    Read every frame as the daemon would, in limited children; ``tell`` hears how many are done.

    ``complete`` adds to a reading what its file does not state, such as what the data bar shows.
    """
    looks = []
    for frame, result in zip(frames, read_all([frame.path for frame in frames]), strict=True):
        if isinstance(result, FrameError):
            looks.append(Look(frame, error=str(result)))
        else:
            looks.append(_look(frame, result if complete is None else complete(result)))
        if tell is not None:
            tell(len(looks))
    return looks


@dataclass(frozen=True, slots=True)
class Likeness:
    """Which of the frames looked at are alike: indices, in groups of two and more."""

    exact: list[list[int]]  #: of the same bytes
    near: list[list[int]]  #: of the same picture, blank ones left out
    sessions: list[list[int]]  #: of one instrument and day, by what their files say
    repeats: set[int]  #: duplicates of a frame that is kept

    @property
    def together(self) -> list[list[int]]:
        """Return the groups that a split must keep together."""
        return [*self.exact, *self.near, *self.sessions]


def likeness(looks: Sequence[Look]) -> Likeness:
    """Find exact and near duplicates, and frames of one session."""
    read = [at for at, look in enumerate(looks) if look.is_read]
    prints = [looks[at].fingerprint for at in read]
    exact, near = exact_duplicates([look.sha256 for look in looks]), near_duplicates(prints)
    sessions: dict[str, list[int]] = {}
    for at in read:
        if looks[at].session:
            sessions.setdefault(looks[at].session, []).append(at)
    return Likeness(
        exact=exact,
        near=[[read[at] for at in group] for group in near],
        sessions=[group for group in sessions.values() if len(group) > 1],
        repeats={at for group in exact for at in group[1:]} | {read[at] for at in repeats(prints, near)},
    )


def read_all(paths: Sequence[Path], views: int = 1) -> Iterator[FrameReading | FrameError]:
    """Yield the reading of each file, 1 or 5 ``views`` of it, or why there is none, in order; the next ones are read meanwhile."""
    with ExitStack() as stack:
        children = [stack.enter_context(Sandbox(prepared_by(views))) for _ in range(_CHILDREN)]
        for _, result in read_ahead(paths, children, Sandbox.begin):
            yield result


def _look(frame: LabelledFrame, reading: FrameReading) -> Look:
    metadata = reading.metadata
    day = (metadata.text("acquired_at") or "")[:10]
    where = [metadata.vendor, metadata.text("instrument"), metadata.text("serial")]
    return Look(
        frame=frame,
        sha256=reading.sha256,
        fingerprint=fingerprint(reading.views[0]),
        width=reading.width,
        height=reading.height,
        pixel_type=reading.pixel_type,
        image_format=reading.image_format,
        vendor=metadata.vendor or "",
        magnification=metadata.number("magnification"),
        session=" ".join(word for word in (*where, day) if word) if day and any(where) else "",
    )
