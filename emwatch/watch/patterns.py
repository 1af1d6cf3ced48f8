"""Names: which files of the acquisition directory are read, and which frames a text file belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING

from emwatch.filesystem import plain_name, readings_of_glob

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path, PurePath

_IMAGE_SUFFIXES = (".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".png")
_TEXT_SUFFIXES = (".txt", ".hdr")


@dataclass(frozen=True, slots=True)
class Patterns:
    """
    Globs over names; neither case nor how letters are composed matters.

    A pattern with a slash is held against the path below the watched directory. One without is held against the file's
    name to include it, and against every part of its path to exclude it, so that ``@eaDir`` leaves out the whole folder.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    def wants_file(self, relative: PurePath) -> bool:
        """Return whether a file is to be read, given its path below the watched directory."""
        parents = relative.parent.parts
        return not any(_names(self.exclude)(plain_name(part)) for part in parents) and self.wants_name(
            relative.parent.as_posix(), relative.name
        )

    def wants_name(self, folder: str, name: str) -> bool:
        """Return whether a file of an entered folder is to be read; the cheap test for many files."""
        low, whole = plain_name(name), plain_name(f"{folder}/{name}").removeprefix("./")
        if _names(self.exclude)(low) or _paths(self.exclude)(whole):
            return False
        return bool(_names(self.include)(low) or _paths(self.include)(whole))

    def wants_folder(self, relative: PurePath) -> bool:
        """Return whether a folder is to be entered, given its path below the watched directory."""
        return not (
            _names(self.exclude)(plain_name(relative.name)) or _paths(self.exclude)(plain_name(relative.as_posix()))
        )


@lru_cache(maxsize=64)
def _names(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return _any_of(tuple(each for each in patterns if "/" not in each))


@lru_cache(maxsize=64)
def _paths(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return _any_of(tuple(each for each in patterns if "/" in each))


def _any_of(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Compile globs into one match; a sweep asks it once per file, and there may be 100,000."""
    if not patterns:
        return lambda _text: None
    globs = [glob for each in patterns for glob in readings_of_glob(plain_name(each))]
    return re.compile("|".join(map(translate, globs))).match


def is_named_like_a_picture(name: str) -> bool:
    """Return whether a name ends as those of pictures do that emwatch decodes; hidden files are none."""
    return name.lower().endswith(_IMAGE_SUFFIXES) and not name.startswith(".")


def is_named_like_a_text(name: str) -> bool:
    """Return whether a name ends as those of texts beside frames do."""
    return name.lower().endswith(_TEXT_SUFFIXES)


def frames_beside(sidecar: Path) -> tuple[Path, ...]:
    """
    Return the frames that a sidecar's name fits, whether they exist or not; empty for a file that is no sidecar.

    ``frame.txt`` and ``frame.hdr`` replace the frame's suffix, ``frame.jpg.txt`` and ``frame.tif.hdr`` follow it, and
    Tescan also writes ``frame-tif.hdr``.
    """
    stem, suffix = sidecar.name[: -len(sidecar.suffix)], sidecar.suffix
    if not stem or suffix.lower() not in _TEXT_SUFFIXES:
        return ()
    if stem.lower().endswith(_IMAGE_SUFFIXES):
        return (sidecar.with_name(stem),)
    names = [stem + each for image in _IMAGE_SUFFIXES for each in (image, image.upper())]
    for image in _IMAGE_SUFFIXES:
        dashed = f"-{image[1:]}"
        if stem.lower().endswith(dashed):
            bare = stem[: -len(dashed)]
            names += [bare + image, bare + image.upper()]
    return tuple(sidecar.with_name(name) for name in names)
