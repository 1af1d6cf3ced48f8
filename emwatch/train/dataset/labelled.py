"""Labelled frames: their files, their sources, and whether a shipped model may learn from them."""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from emwatch.classify.preprocess import eight_bits
from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES, path_to_text, text_to_path
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy.typing as npt

LABELS: Final = "labels.tsv"

#: Whose frames those are of which no licence is told: the model made from them is theirs too.
OWN: Final = "the user's own"

PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})

#: The columns a manifest has, in order; of a labels table only the first two must be there.
COLUMNS: Final = (
    "file",
    "category",
    "source",
    "licence",
    "open_licence",
    "instrument",
    "near_duplicate",
    "part",
    "may_teach",
    "blind",
)

#: What `LabelledFrame.grey` raises for a file that is damaged, or claims more pixels than any frame has.
UNREADABLE: Final = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)

#: So many wrong lines are told one by one.
_TOLD: Final = 20


class Part(StrEnum):
    """What a frame is used for."""

    TRAINING = "training"
    VALIDATION = "validation"  #: chooses the epoch, the learning rate, the temperature
    TEST = "test"  #: looked at once, at the end


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """One frame of known category. ``source``: whoever took it; frames of one source never stand on both sides of a fold."""

    path: Path
    category: int  #: index into `CATEGORIES`
    source: str
    licence: str = OWN
    open_licence: bool = True
    instrument: str = ""  #: as the table tells it, empty where it does not
    near_duplicate: bool = False  #: of another frame that is in the dataset
    part: Part | None = None  #: as a manifest tells it
    may_teach: bool = True  #: else its owner reserves rights, and it only judges
    blind: bool = False  #: nobody who paints drawn frames has looked at it: it may judge these

    def grey(self) -> npt.NDArray[np.uint8]:
        """Read it as grey (height, width); 16-bit and float values are stretched, as for the daemon's network."""
        with Image.open(self.path, formats=("JPEG", "PNG", "TIFF", "BMP")) as image:
            # Pillow would clip them at 255: a 16-bit frame would be white.
            if image.mode.startswith(("I", "F")):
                return eight_bits(np.asarray(image))
            return np.asarray(image.convert("L"))


def unreadable(frame: LabelledFrame, error: Exception) -> DatasetError:
    """Make the error for a frame to learn from that cannot be read."""
    return DatasetError(f"{_name(frame.path)} cannot be read: {error}. Take it out of the dataset, or mend it.")


def open_dataset(place: Path) -> list[LabelledFrame]:
    """
    List the labelled frames of a dataset, near duplicates included.

    ``place``: a folder with ``labels.tsv``; a folder with a folder for each category; or a table itself, such as the
    manifest that `emwatch dataset split` writes. Raises `DatasetError` that tells every wrong line or folder at once.
    """
    if place.is_file():
        return _from_table(place)
    if (place / LABELS).is_file():
        return _from_table(place / LABELS)
    if place.is_dir():
        return frames_in_folders(place)
    raise DatasetError(f"{_name(place)} is not there: expected a folder of labelled frames or a table of them")


def labelled_frames(place: Path) -> list[LabelledFrame]:
    """
    List the labelled frames to learn from: those of `open_dataset` without near duplicates, of all ten categories.

    Raises `DatasetError`.
    """
    frames = [frame for frame in open_dataset(place) if not frame.near_duplicate]
    there = {frame.category for frame in frames}
    if missing := [name for index, name in enumerate(CATEGORIES) if index not in there]:
        raise DatasetError(
            f"{_name(place)} has no frames of {', '.join(missing)}: expected some of each of the ten categories"
        )
    return frames


def check_manifest(manifest: Path) -> None:
    """Raise `DatasetError` if the file exists and is not a manifest: labels are never overwritten."""
    try:
        with manifest.open("rb") as file:
            first = file.readline(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DatasetError(f"{_name(manifest)} cannot be written: {error.strerror or error}") from error
    if not first.startswith("\t".join(COLUMNS[:4]).encode()):
        raise DatasetError(f"{_name(manifest)} is there already and is no manifest: name another file")


def write_manifest(
    manifest: Path, frames: Iterable[LabelledFrame], extra: Mapping[str, list[str]] | None = None
) -> None:
    """
    Write a table that `open_dataset` reads: whole or not at all, nothing copied.

    Files below the manifest's folder are named relative to it, so that both may move together. ``extra``: columns by
    name, a value for each frame. Raises `DatasetError` if it cannot be written.
    """
    folder = manifest.absolute().parent
    columns = extra or {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(manifest) as made, made.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t", lineterminator="\n")
            table.writerow([*COLUMNS, *columns])
            for number, frame in enumerate(frames):
                table.writerow([*_cells(frame, folder), *(values[number] for values in columns.values())])
    except OSError as error:
        raise DatasetError(f"{_name(manifest)} cannot be written: {error.strerror or error}") from error


def _cells(frame: LabelledFrame, folder: Path) -> tuple[str, ...]:
    path = frame.path.absolute()
    return (
        path_to_text(path.relative_to(folder) if path.is_relative_to(folder) else path),
        CATEGORIES[frame.category],
        frame.source,
        frame.licence,
        "yes" if frame.open_licence else "no",
        frame.instrument,
        "1" if frame.near_duplicate else "0",
        frame.part or "",
        "yes" if frame.may_teach else "no",
        "yes" if frame.blind else "no",
    )


def _from_table(table: Path) -> list[LabelledFrame]:
    frames, wrong = [], []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", restval="")
            if missing := [name for name in COLUMNS[:2] if name not in (rows.fieldnames or ())]:
                raise DatasetError(
                    f"{_name(table)} has no column {' and no column '.join(map(repr, missing))}: expected a line of column "
                    f"names, separated by tabs, with {' and '.join(COLUMNS[:2])}"
                )
            for row in rows:
                try:
                    frames.append(_from_row(table.parent, row))
                except ValueError as error:
                    wrong.append(f"line {rows.line_num}: {error}")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{_name(table)} is no text in UTF-8 ({error}): save the table as UTF-8, separated by tabs"
        ) from error
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{_name(table)} cannot be read as a table of labelled frames: {error}") from error
    if wrong:
        raise _all_told(table, wrong)
    return frames


def _from_row(folder: Path, row: Mapping[str, str]) -> LabelledFrame:
    """Read a row. Raises `ValueError` saying what is wrong with it."""
    if not row["file"]:
        raise ValueError("names no file")
    path = folder / _path(row["file"])
    part = row.get("part", "")
    if part and part not in set(Part):
        raise ValueError(f"part {part!r} is none of {', '.join(Part)}")
    licensed = row.get("open_licence") or "yes"
    return LabelledFrame(
        path=path,
        category=_category(row["category"]),
        source=row.get("source") or source_by_filing(path.parent, path),
        licence=row.get("licence") or OWN,
        open_licence=licensed == "yes",
        # A table that does not say who may teach means those of an open licence.
        may_teach=(row.get("may_teach") or licensed) == "yes",
        blind=row.get("blind") == "yes",
        instrument=row.get("instrument", ""),
        near_duplicate=row.get("near_duplicate") == "1",
        part=Part(part) if part else None,
    )


def _path(text: str) -> Path:
    try:
        return text_to_path(text)
    except ValueError as error:
        raise ValueError(f"file {text!r} has a backslash that names no byte: write folders with /") from error


def _category(name: str) -> int:
    with suppress(ValueError):
        return CATEGORIES.index(name)
    raise ValueError(f"{name!r} is none of the ten categories{_meant(name)}")


def _meant(name: str) -> str:
    """Suggest the nearest category, whatever its case and its separators."""
    known = {category.casefold().replace("_", " "): category for category in CATEGORIES}
    near = get_close_matches(name.casefold().replace("_", " ").replace("-", " "), known, n=1, cutoff=0.6)
    return f"; did you mean {known[near[0]]}?" if near else f": {', '.join(CATEGORIES)}"


def frames_in_folders(directory: Path) -> list[LabelledFrame]:
    """List the frames of a folder with a folder for each category. Raises `DatasetError` for a folder that is none."""
    frames, wrong = [], []
    for folder in sorted(directory.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
        try:
            category = _category(folder.name)
        except ValueError as error:
            if paths:
                wrong.append(f"folder {error} (frames in it: {len(paths)})")
            continue
        frames += [LabelledFrame(path, category, source_by_filing(folder, path)) for path in paths]
    if wrong:
        raise _all_told(directory, wrong)
    frames.sort(key=lambda frame: (frame.category, frame.path))
    return frames


def _all_told(place: Path, wrong: list[str]) -> DatasetError:
    """Make one error of all that is wrong, a line each."""
    if len(wrong) == 1:
        return DatasetError(f"{_name(place)}, {wrong[0]}")
    left = [f"  and {len(wrong) - _TOLD} more"] if len(wrong) > _TOLD else []
    return DatasetError(
        "\n".join([f"{_name(place)} has {len(wrong)} mistakes:", *(f"  {each}" for each in wrong[:_TOLD]), *left])
    )


def _name(path: Path) -> str:
    return path_to_text(path)


#: The last number of a name, with what separates it and short tails such as ``(2)`` or ``_bse``-less counters.
_COUNTER: Final = re.compile(r"[\s_.\-#(\[]*\d+[)\]]?$")
#: At least eight hexadecimal digits, digits and letters among them, as the last word of the name.
_HASH: Final = re.compile(r"(?:^|[\s_.\-])(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}$", re.IGNORECASE)


def source_by_filing(category_folder: Path, path: Path) -> str:
    """
    Name the source of a frame below its category's folder: frames of one source must not both teach and judge a model.

    A folder below the category's is one source, whichever categories it is found in: people sort by session or sample.
    Without one, names that differ in their last number only (``wafer7_003.tif``) are one series. Names that are hashes
    tell nothing: each such frame stands for itself, and only near duplicates hold together.
    """
    below = path.relative_to(category_folder).parent
    if below.parts:
        return below.as_posix()
    if _HASH.search(path.stem):
        return f"{category_folder.name}/{path.name}"
    return f"series {_COUNTER.sub('', path.stem) or 'without a name'}"


def names_tell_nothing(source: str) -> bool:
    """Return whether `source_by_filing` could name a single frame only."""
    stem = source.rpartition("/")[2].rpartition(".")[0]
    return bool(stem) and _HASH.search(stem) is not None
