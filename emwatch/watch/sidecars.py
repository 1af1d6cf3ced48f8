"""Which frames a text file beside them may belong to, by its name alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_IMAGE_SUFFIXES = (".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".png")
_TEXT_SUFFIXES = (".txt", ".hdr")


def frames_beside(sidecar: Path) -> tuple[Path, ...]:
    """
    Give the frames that a sidecar's name fits, whether they exist or not; empty for a file that is none.

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
