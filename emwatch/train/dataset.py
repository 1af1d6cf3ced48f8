"""Labelled frames: where they lie, who made them, and whether a shipped model may learn from them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

LABELS = "labels.tsv"
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """One frame of known category. ``source``: whoever took it; frames of one source never stand on both sides of a fold."""

    path: Path
    category: int  #: index into `CATEGORIES`
    source: str
    licence: str
    open_licence: bool

    def grey(self) -> npt.NDArray[np.uint8]:
        """Read it as grey (height, width)."""
        with Image.open(self.path, formats=("JPEG", "PNG", "TIFF", "BMP")) as image:
            return np.asarray(image.convert("L"))


def labelled_frames(directory: Path) -> list[LabelledFrame]:
    """
    List the labelled frames of a directory, leaving out near duplicates.

    Either ``labels.tsv`` with the columns file, category, source, licence, open_licence (``yes``) and near_duplicate
    (``1``), or one folder for each category, whose frames count as the user's own and each as its own source.
    Raises `ModelError`.
    """
    table = directory / LABELS
    frames = _from_table(table) if table.is_file() else _from_folders(directory)
    if missing := [
        name for index, name in enumerate(CATEGORIES) if not any(frame.category == index for frame in frames)
    ]:
        raise ModelError(
            f"{directory} has no frames of {', '.join(missing)}: expected some of each of the ten categories"
        )
    return frames


def _from_table(table: Path) -> list[LabelledFrame]:
    frames = []
    with table.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t"), start=2):
            try:
                category = CATEGORIES.index(row["category"])
                if row.get("near_duplicate") == "1":
                    continue
                frame = LabelledFrame(
                    path=table.parent / row["file"],
                    category=category,
                    source=row["source"],
                    licence=row["licence"],
                    open_licence=row["open_licence"] == "yes",
                )
            except KeyError as error:
                raise ModelError(f"{table} has no column {error}") from error
            except ValueError as error:
                raise ModelError(
                    f"{table}, line {number}: {row['category']!r} is none of {', '.join(CATEGORIES)}"
                ) from error
            frames.append(frame)
    return frames


def _from_folders(directory: Path) -> list[LabelledFrame]:
    return [
        LabelledFrame(path, index, str(path), "the user's own", open_licence=True)
        for index, name in enumerate(CATEGORIES)
        for path in sorted((directory / name).rglob("*"))
        if path.suffix.lower() in _PICTURES
    ]
