"""What is wrong with a dataset, all at once and before an hour is spent on it: with the files, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.dataset.duplicates import exact_duplicates
from emwatch.train.dataset.labelled import names_tell_nothing
from emwatch.train.dataset.survey import Look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.train.dataset.labelled import LabelledFrame

#: With fewer frames than this a category is learned by heart, and judged by luck.
FEW_FRAMES: Final = 20

_FILES_TOLD: Final = 5
_TEN: Final = len(CATEGORIES)


class Kind(StrEnum):
    """What can be wrong with a dataset."""

    NO_FRAMES = "no-frames"
    EMPTY_CATEGORY = "empty-category"
    ONE_FRAME = "one-frame"
    FEW_FRAMES = "few-frames"
    UNREADABLE = "unreadable"
    TWO_CATEGORIES = "two-categories"
    ONE_SOURCE = "one-source"
    NO_SESSIONS = "no-sessions"


#: Troubles that end when their files are left out of the dataset.
LEFT_OUT: Final = (Kind.UNREADABLE, Kind.TWO_CATEGORIES)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong. ``stops``: training would fail or learn something false; else its figures suffer."""

    kind: Kind
    what: str
    do: str
    files: tuple[Path, ...] = ()
    stops: bool = True

    @property
    def line(self) -> str:
        """Return it in one line, with the first files."""
        names = ", ".join(path_to_text(path) for path in self.files[:_FILES_TOLD])
        more = f" and {len(self.files) - _FILES_TOLD} more" if len(self.files) > _FILES_TOLD else ""
        return f"{self.what}{f' ({names}{more})' if names else ''}: {self.do}"


def troubles(looks: Sequence[Look]) -> list[Trouble]:
    """List everything that is wrong, what stops first."""
    found = [*_of_categories(looks), *_unreadable(looks), *_two_categories(looks), *_no_sessions(looks)]
    return sorted(found, key=lambda trouble: not trouble.stops)


def doubts(frames: Sequence[LabelledFrame]) -> list[str]:
    """Return warnings about labels and names that make figures unreliable; no file is read. Categories may be missing."""
    looks = [Look(frame) for frame in frames]
    found = [*_of_categories(looks), *_no_sessions(looks)]
    return [trouble.line for trouble in found if trouble.kind not in {Kind.NO_FRAMES, Kind.EMPTY_CATEGORY}]


def checked(looks: Sequence[Look], warn: Callable[[str], None], *, leave_out: bool = False) -> list[Look]:
    """
    Return the surveyed frames that may be used, and ``warn`` about everything that makes figures unreliable.

    ``leave_out``: without the files that cannot be read or are filed under two categories; else those stop, too. Raises
    `DatasetError` with everything that stops, a line each.
    """
    found = troubles(looks)
    if leave_out:
        out = {path for trouble in found if trouble.kind in LEFT_OUT for path in trouble.files}
        if out:
            names = ", ".join(map(path_to_text, sorted(out)[:_FILES_TOLD]))
            warn(
                f"{len(out)} file{'s' if len(out) > 1 else ''} left out: {names}{', ...' if len(out) > _FILES_TOLD else ''}"
            )
            looks = [look for look in looks if look.frame.path not in out]
            found = troubles(looks)
    for trouble in found:
        if not trouble.stops:
            warn(trouble.line)
    if stopping := [trouble.line for trouble in found if trouble.stops]:
        raise DatasetError(
            "\n".join(["these labelled frames cannot be trained on:", *(f"  {line}" for line in stopping)])
        )
    return list(looks)


def _of_categories(looks: Sequence[Look]) -> list[Trouble]:
    if not looks:
        there = f"a folder of frames for each of {', '.join(CATEGORIES)}, or a table labels.tsv"
        return [Trouble(Kind.NO_FRAMES, "there are no frames", f"expected {there}")]
    mine: dict[str, list[Look]] = {name: [] for name in CATEGORIES}
    for look in looks:
        if look.is_read:
            mine[CATEGORIES[look.frame.category]].append(look)
    sources = {name: {look.frame.source for look in frames} for name, frames in mine.items()}
    empty = [name for name, frames in mine.items() if not frames]
    one = [name for name, frames in mine.items() if len(frames) == 1]
    few = [f"{name} {len(frames)}" for name, frames in mine.items() if 1 < len(frames) < FEW_FRAMES]
    alike = [
        f"{name} {next(iter(sources[name]))!r}"
        for name, frames in mine.items()
        if len(frames) > 1 == len(sources[name])
    ]
    found = []
    if empty:
        found.append(
            Trouble(
                Kind.EMPTY_CATEGORY,
                f"{_TEN - len(empty)} of the {_TEN} categories have frames; there are none of {', '.join(empty)}",
                "add frames of each, spelled as here; the network has ten outputs, and one that never saw a frame answers at random",
            )
        )
    if one:
        files = tuple(mine[name][0].frame.path for name in one)
        what = f"{', '.join(one)} {'have' if len(one) > 1 else 'has'} one frame{' each' if len(one) > 1 else ''}"
        found.append(Trouble(Kind.ONE_FRAME, what, "it cannot be both in training and in validation: add more", files))
    if few:
        do = f"figures on them will be luck: add more, {FEW_FRAMES} at least"
        found.append(Trouble(Kind.FEW_FRAMES, f"few frames of a category: {', '.join(few)}", do, stops=False))
    if alike:
        do = "nothing of them is left to judge by: add frames of another session"
        found.append(
            Trouble(Kind.ONE_SOURCE, f"all frames of a category are of one source: {', '.join(alike)}", do, stops=False)
        )
    return found


def _unreadable(looks: Sequence[Look]) -> list[Trouble]:
    broken = [look for look in looks if not look.is_read]
    if not broken:
        return []
    what = f"{len(broken)} file{'s' if len(broken) > 1 else ''} cannot be read; the first: {broken[0].error}"
    return [Trouble(Kind.UNREADABLE, what, "mend or remove them", tuple(look.frame.path for look in broken))]


def _two_categories(looks: Sequence[Look]) -> list[Trouble]:
    found = []
    for group in exact_duplicates([look.sha256 for look in looks]):
        names = sorted({CATEGORIES[looks[at].frame.category] for at in group})
        if len(names) > 1:
            files = tuple(looks[at].frame.path for at in group)
            what = f"the same picture is filed as {' and as '.join(names)}"
            found.append(Trouble(Kind.TWO_CATEGORIES, what, "keep it where it belongs, remove the others", files))
    return found


def _no_sessions(looks: Sequence[Look]) -> list[Trouble]:
    untold = sum(names_tell_nothing(look.frame.source) for look in looks)
    if not looks or untold < len(looks) / 2:
        return []
    what = f"{untold} of {len(looks)} frames are named by hashes, which name no session"
    do = (
        "only near duplicates are kept on one side of a split, so figures flatter. Put the frames of each session into a "
        "folder of their own, or name their sources in a table"
    )
    return [Trouble(Kind.NO_SESSIONS, what, do, stops=False)]
