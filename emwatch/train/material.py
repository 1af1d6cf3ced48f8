"""What a network learns from: frames as small grey views in memory, dealt into training, validation and test."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES
from emwatch.train.check import checked
from emwatch.train.dataset import UNREADABLE, Part, open_dataset, unreadable
from emwatch.train.look import likeness, look_at
from emwatch.train.split import split_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from emwatch.train.dataset import LabelledFrame
    from emwatch.train.run_folder import Standing
    from emwatch.train.split import By


@dataclass(frozen=True, slots=True)
class Material:
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
        """Give the views (n, 170, 170) that are judged."""
        return self.views[:, 0]

    def lacking(self) -> list[str]:
        """Name the categories that have no frame here."""
        return [name for index, name in enumerate(CATEGORIES) if not (self.categories == index).any()]


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
    List the frames to learn from with the part of each: as a manifest says, else dealt here.

    Raises `DatasetError` with all that is wrong with the frames, each of which is looked at.
    """
    frames = [frame for frame in open_dataset(dataset) if not frame.near_duplicate]
    ears.say(f"looking at {len(frames):,} frames")
    looks = checked(
        look_at(frames, lambda done: ears.counting("looking at frames", done, len(frames))),
        lambda line: ears.say(f"warning: {line}"),
    )
    if frames and all(frame.part is not None for frame in frames):
        return frames, [frame.part for frame in frames if frame.part is not None]
    if by == "random":
        ears.say("warning: split at random: frames of one sitting both teach and judge, and figures come out too good")
        return frames, split_frames(frames, seed=seed, by="random")
    return frames, split_frames(frames, seed=seed, together=likeness(looks).together)


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
) -> dict[Part, Material]:
    """Deal views to their parts. Raises `DatasetError` where a category would not be learned, or nothing be validated."""
    categories = np.array([frame.category for frame in frames], dtype=np.int64)
    dealt = {}
    for part in Part:
        mine = np.flatnonzero(np.array([each is part for each in parts], dtype=bool))
        dealt[part] = Material(views[mine], categories[mine])
    if lacking := dealt[Part.TRAINING].lacking():
        raise DatasetError(
            f"the training part has no frame of {', '.join(lacking)}: these categories need frames of more sources, "
            "or another --seed, or --random, with figures to be believed less"
        )
    if not len(dealt[Part.VALIDATION]):
        raise DatasetError(
            "the validation part is empty: nothing would tell when to stop. Expected frames of more sources."
        )
    return dealt


def sources_of(frames: Sequence[LabelledFrame], parts: Sequence[Part], part: Part) -> list[str]:
    """List the sources of a part's frames, in the order of `by_part`."""
    return [frame.source for frame, mine in zip(frames, parts, strict=True) if mine is part]


def fingerprint(parts: dict[Part, Material]) -> str:
    """Identify what is learned from, by content: the same frames in the same parts, whatever their names."""
    digest = hashlib.sha256()
    for part, material in parts.items():
        digest.update(f"{part}{material.views.shape}".encode())
        digest.update(np.ascontiguousarray(material.views).data)
        digest.update(material.categories.tobytes())
    return digest.hexdigest()
