"""Frames as pictures to embed: labelled ones as the daemon sees them, drawn ones, and unfamiliar ones."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from emwatch.train.dataset.labelled import UNREADABLE, unreadable
from emwatch.train.heads.data_bars import with_drawn_bar, without_bar
from emwatch.train.heads.embeddings import InputPicture

if TYPE_CHECKING:
    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.heads.drawn import DrawnFrame
    from emwatch.train.heads.unfamiliar import UnfamiliarPicture

#: ``bare``: the data bar cut off. ``whole``: the frame as it is. ``barred``: another bar drawn in the place of its own.
Dressed: TypeAlias = Literal["bare", "whole", "barred"]

_BARS = ("emwatch.train.heads.data_bars", "emwatch.readers.data_bar.bar")


def of_frame(frame: LabelledFrame, dressed: Dressed) -> InputPicture:
    """Return a labelled frame; the bar drawn on it depends only on its file."""

    def content() -> bytes:
        try:
            return frame.path.read_bytes()
        except OSError as error:
            raise unreadable(frame, error) from error

    def pixels() -> npt.NDArray[np.uint8]:
        try:
            grey = frame.grey()
        except UNREADABLE as error:
            raise unreadable(frame, error) from error
        if dressed == "whole":
            return grey
        bare = without_bar(grey)
        if dressed == "bare":
            return bare
        return with_drawn_bar(bare, np.random.default_rng([*hashlib.sha256(content()).digest()]))

    return InputPicture(content, pixels, dressed, () if dressed == "whole" else _BARS)


def of_drawing(frame: DrawnFrame) -> InputPicture:
    """Return a frame drawn by the simulated microscope."""
    name = f"{frame.category} {frame.painter} {frame.kind} {frame.seed}".encode()
    code = ("emwatch.simulate", "emwatch.train.heads.drawn", "emwatch.train.heads.data_bars")
    return InputPicture(lambda: name, frame.draw, "drawn", code)


def of_unfamiliar(picture: UnfamiliarPicture) -> InputPicture:
    """Return a picture that no electron microscope takes, in grey as the network sees it."""
    name = f"{picture.kind} {picture.seed}".encode()
    return InputPicture(lambda: name, picture.draw, "unfamiliar", ("emwatch.train.heads.unfamiliar",))
