"""What a vendor's reader is given: the tags, bytes and companions of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Final, Protocol

from emwatch import errors
from emwatch.frame import Sidecar
from emwatch.readers.sandbox.snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from emwatch.frame import Reading
    from emwatch.readers import tiff

#: Sidecars are 2 to 60 kB of text; what is larger is something else and not read.
_LARGEST_SIDECAR_BYTES: Final = 1024 * 1024

#: Metadata blocks are 3 to 200 kB; of a larger one this much is read, and the reading is flagged.
_LARGEST_BLOCK_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TextBeside:
    """A text file beside a frame."""

    identity: Sidecar
    data: bytes


def sidecar_beside(path: Path) -> Callable[[str], TextBeside | None]:
    """
    Return a lookup of files in the frame's own folder: ``None`` for one that is not there or cannot be read.

    A link that leads out of the folder counts as not there. Each name is looked at once, however many readers ask.
    """
    return cache(partial(_read_beside, path))


def _read_beside(path: Path, name: str) -> TextBeside | None:
    try:
        beside = path.with_name(name)  # refuses a name with a folder in it
        if beside.is_symlink() and beside.resolve(strict=True).parent != path.parent.resolve():
            return None
        found = take_snapshot(beside, _LARGEST_SIDECAR_BYTES)
    except (errors.FrameError, OSError, RuntimeError, ValueError):  # RuntimeError: a ring of links
        return None
    return TextBeside(Sidecar(name, found.sha256, found.stat_key.size, found.stat_key.mtime_ns), found.data)


@dataclass(frozen=True, slots=True)
class RawFrame:
    """
    One frame before its metadata is understood.

    ``pages`` are those of a TIFF and empty for other formats, whose vendors must be known from ``data`` or a sidecar.
    """

    path: Path
    data: bytes
    image_format: str
    width: int
    height: int
    pages: tuple[tiff.Page, ...] = ()
    picture: int = 0  #: index of the page that is the frame
    sidecar: Callable[[str], TextBeside | None] = field(default=lambda _name: None)
    modified_s: float | None = None  #: when the file was last written, in seconds of the Unix clock

    def tag(self, number: int) -> bytes | None:
        """Return the bytes of a tag of the picture's page, else of the first page that has it (cut at 4 MiB)."""
        pages = self.pages[self.picture : self.picture + 1] + self.pages
        raw = next((raw for page in pages if (raw := page.raw(number)) is not None), None)
        return None if raw is None else raw[:_LARGEST_BLOCK_BYTES]

    def has_tag(self, number: int) -> bool:
        """Return True if any page has a tag."""
        return any(number in page.tags for page in self.pages)

    def is_tag_cut(self, number: int) -> bool:
        """Return True if a tag is longer than the file, or than what is read of it."""
        return any(
            found.stop > len(page.data) or found.stop - found.start > _LARGEST_BLOCK_BYTES
            for page in self.pages
            if (found := page.tags.get(number)) is not None
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """
    What a vendor's reader finds in a frame.

    ``flags`` name what is wrong with the header as a whole. ``display_width_mm`` is the width of the picture to which a
    *stored* magnification refers, if the format fixes it; ``scale_bar_nm`` is the length that the header gives for the
    drawn scale bar. Both are used to check, never to compute. ``sidecar`` is the text file that was read.
    """

    readings: Mapping[str, Reading]
    flags: tuple[str, ...] = ()
    display_width_mm: float | None = None
    scale_bar_nm: float | None = None
    sidecar: Sidecar | None = None


class VendorReader(Protocol):
    """
    One vendor's format. A module of this package defines one and `registry` lists it.

    Neither method raises for damaged content: what cannot be understood is left out, or ``None`` with a reason.
    """

    @property
    def vendor(self) -> str:
        """The vendor's name as shown and stored."""
        ...

    def recognises(self, frame: RawFrame) -> bool:
        """Return True if the frame is this vendor's, judged by what it contains and never by its name."""
        ...

    def read(self, frame: RawFrame) -> Findings:
        """Decode every field of `emwatch.frame.FIELDS` that the format has."""
        ...
