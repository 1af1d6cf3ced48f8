"""What a network learns from: frames as small grey views in memory, dealt into training, validation and test."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.dataset.check import checked
from emwatch.train.dataset.labelled import UNREADABLE, Part, open_dataset, unreadable
from emwatch.train.dataset.split import split_frames
from emwatch.train.dataset.survey import likeness, look_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.dataset.split import By
    from emwatch.train.network.run_folder import Standing


@dataclass(frozen=True, slots=True)
class TrainingFrames:
    """
    Frames of one part as the network sees them.

    ``views``: (n, variants, 170, 170) uint8; a network learns from any variant, and is judged on the first.
    """

    views: npt.NDArray[np.uint8]
    categories: npt.NDArray[np.int64]  #: (n,)

    def __len__(self) -> int:
        return len(self.categories)

    @property
    def first(self) -> npt.NDArray[np.uint8]:
        """Return the views (n, 170, 170) for evaluation."""
        return self.views[:, 0]


class Ears(Protocol):
    """Who hears of a run."""

    def say(self, line: str) -> None:
        """Hear a sentence."""

    def counting(self, what: str, done: int, of: int) -> None:
        """Hear how many frames are done, and what is done with them."""

    def standing(self, at: Standing) -> None:
        """Hear how far the training is, after each batch."""


def opened(dataset: Path, by: By, seed: int, ears: Ears) -> tuple[list[LabelledFrame], list[Part]]:
    """
    Return the frames of a training run with the part of each: from a manifest, else divided here.

    Raises `DatasetError` with all that is wrong with the frames, each of which is looked at, and where a category would not
    be learned, or nothing be validated.
    """
    frames = [frame for frame in open_dataset(dataset) if not frame.near_duplicate]
    told = [frame.part for frame in frames if frame.part is not None]
    if told and len(told) < len(frames):
        first = next(frame for frame in frames if frame.part is None)
        raise DatasetError(
            f"{len(frames) - len(told)} of {len(frames)} frames have no part, the first {path_to_text(first.path)}: expected "
            f"{', '.join(Part)} in every row of {path_to_text(dataset)}, or in none, and they are dealt here"
        )
    ears.say(f"looking at {len(frames):,} frames")
    looks = checked(
        look_at(frames, lambda done: ears.counting("looking at frames", done, len(frames))),
        lambda line: ears.say(f"warning: {line}"),
    )
    if told:
        parts = told
        if by == "random":
            ears.say("warning: the table says which frame is in which part: nothing is split at random")
    elif by == "random":
        ears.say(
            "warning: split at random: one session may be in training and validation, so the figures are optimistic"
        )
        parts = split_frames(frames, seed=seed, by="random")
    else:
        parts = split_frames(frames, seed=seed, together=likeness(looks).together)
    _check_parts(frames, parts)
    return frames, parts


def _check_parts(frames: Sequence[LabelledFrame], parts: Sequence[Part]) -> None:
    learned = {frame.category for frame, part in zip(frames, parts, strict=True) if part is Part.TRAINING}
    if lacking := [name for index, name in enumerate(CATEGORIES) if index not in learned]:
        raise DatasetError(
            f"the training part has no frame of {', '.join(lacking)}: these categories need frames of more sources, "
            "or another --seed, or --random, with figures to be believed less"
        )
    if Part.VALIDATION not in parts:
        raise DatasetError(
            "the validation part is empty: without it there is no measure of when to stop. Expected frames of more sources."
        )


def decoded(
    frames: Sequence[LabelledFrame],
    prepare: Callable[[LabelledFrame], npt.NDArray[np.uint8]],
    threads: int,
    ears: Ears,
) -> npt.NDArray[np.uint8]:
    """
    Read all frames, a few at once, into (n, variants, 170, 170) uint8: 29 kB a variant, so 20,000 frames take 0.6 GB.

    ``prepare`` gives (variants, 170, 170). Raises `DatasetError`.
    """
    with ThreadPoolExecutor(threads) as pool:
        views = []
        for number, view in enumerate(pool.map(lambda frame: _prepared(frame, prepare), frames), start=1):
            views.append(view)
            ears.counting("reading frames", number, len(frames))
    return np.stack(views)


def _prepared(frame: LabelledFrame, prepare: Callable[[LabelledFrame], npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    try:
        return prepare(frame)
    except UNREADABLE as error:
        raise unreadable(frame, error) from error


def by_part(
    frames: Sequence[LabelledFrame], parts: Sequence[Part], views: npt.NDArray[np.uint8]
) -> dict[Part, TrainingFrames]:
    """Deal views to their parts."""
    categories = np.array([frame.category for frame in frames], dtype=np.int64)
    dealt = {}
    for part in Part:
        mine = np.flatnonzero(np.array([each is part for each in parts], dtype=bool))
        dealt[part] = TrainingFrames(views[mine], categories[mine])
    return dealt


def sources_of(frames: Sequence[LabelledFrame], parts: Sequence[Part], part: Part) -> list[str]:
    """List the sources of a part's frames, in the order of `by_part`."""
    return [frame.source for frame, mine in zip(frames, parts, strict=True) if mine is part]


def fingerprint(parts: dict[Part, TrainingFrames]) -> str:
    """Identify what is learned from, by content: the same frames in the same parts, whatever their names."""
    digest = hashlib.sha256()
    for part, material in parts.items():
        digest.update(f"{part}{material.views.shape}".encode())
        digest.update(np.ascontiguousarray(material.views).data)
        digest.update(material.categories.tobytes())
    return digest.hexdigest()
