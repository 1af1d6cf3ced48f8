"""
The nouns of emwatch: frozen records that flow one way, from the directory to the ledger.

Standard library only, no input or output. Units are part of the names; a value that is not known is ``None``, never 0.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt

#: The ten nanomaterial categories, in the order of every score vector (Aversa et al., Sci. Data 5:180172, 2018).
CATEGORIES: Final = (
    "Biological",
    "Fibres",
    "Films_Coated_Surface",
    "MEMS_devices_and_electrodes",
    "Nanowires",
    "Particles",
    "Patterned_surface",
    "Porous_Sponge",
    "Powder",
    "Tips",
)

#: Side of the square the network sees, in pixels.
NETWORK_SIDE_PX: Final = 170


class FrameState(StrEnum):
    """The state of one file of the acquisition directory."""

    RECORDED = "recorded"  #: read, classified and committed
    FAILED = "failed"  #: not readable as a frame; the reason says why
    SKIPPED = "skipped"  #: whole and readable, but not a frame: a sidecar, a text file, ...
    BASELINE = "baseline"  #: was there before the first start with ``catch_up: new``; not read


class ReviewVerdict(StrEnum):
    """The verdict of a person about a frame."""

    CONFIRM = "confirm"  #: it is of the category that the model named
    RELABEL = "relabel"  #: it is of another one
    REJECT = "reject"  #: it is of none, or of no use
    UNSURE = "unsure"  #: the category cannot be decided, or an earlier review is cancelled


@dataclass(frozen=True, slots=True)
class Review:
    """A person's verdict about a recorded frame; ``category`` is set for ``confirm`` and ``relabel`` only."""

    frame_id: int
    verdict: ReviewVerdict
    category: str | None
    reviewed_by: str
    reviewed_at: datetime
    note: str = ""


class FieldKind(StrEnum):
    """How the value of an acquisition field is typed."""

    NUMBER = "number"
    TEXT = "text"
    FLAG = "flag"
    TIME = "time"  #: ISO 8601 text; without an offset if the instrument's zone is unknown


@dataclass(frozen=True, slots=True)
class AcquisitionField:
    """One acquisition value of a frame; the unit is part of the name. ``ends``: no instrument has a number outside."""

    name: str
    kind: FieldKind
    title: str
    ends: tuple[float, float]


_NUMBER, _TEXT, _FLAG, _TIME = FieldKind
_ANY: Final = (-math.inf, math.inf)
_ANGLE, _PLACE_MM, _PIXEL_NM = (-3600.0, 3600.0), (-1e4, 1e4), (1e-4, 1e7)

#: Every acquisition field, in the order in which they are shown and stored.
FIELDS: Final[Mapping[str, AcquisitionField]] = MappingProxyType(
    {
        name: AcquisitionField(name, kind, title, ends)
        for name, kind, title, ends in (
            ("magnification", _NUMBER, "Magnification (x)", (1e-2, 1e9)),
            ("horizontal_field_width_um", _NUMBER, "Horizontal field width (µm)", (1e-4, 1e6)),
            ("pixel_size_nm", _NUMBER, "Pixel size, x (nm)", _PIXEL_NM),
            ("pixel_size_y_nm", _NUMBER, "Pixel size, y (nm)", _PIXEL_NM),
            ("stage_tilt_deg", _NUMBER, "Stage tilt (°)", (-360.0, 360.0)),
            ("stage_rotation_deg", _NUMBER, "Stage rotation (°)", _ANGLE),
            ("stage_x_mm", _NUMBER, "Stage x (mm)", _PLACE_MM),
            ("stage_y_mm", _NUMBER, "Stage y (mm)", _PLACE_MM),
            ("stage_z_mm", _NUMBER, "Stage z (mm)", _PLACE_MM),
            ("working_distance_mm", _NUMBER, "Working distance (mm)", (1e-3, 1e3)),
            ("accelerating_voltage_kv", _NUMBER, "Accelerating voltage (kV)", (1e-3, 1e3)),
            ("beam_current_na", _NUMBER, "Beam current (nA)", (0.0, 1e9)),
            ("beam", _TEXT, "Beam", _ANY),
            ("detector", _TEXT, "Detector", _ANY),
            ("dwell_time_us", _NUMBER, "Dwell time (µs)", (1e-6, 1e12)),
            ("scan_rotation_deg", _NUMBER, "Scan rotation (°)", _ANGLE),
            ("tilt_correction", _FLAG, "Tilt correction on", _ANY),
            ("tilt_correction_deg", _NUMBER, "Tilt correction angle (°)", (-360.0, 360.0)),
            ("instrument", _TEXT, "Instrument", _ANY),
            ("serial", _TEXT, "Serial number", _ANY),
            ("software", _TEXT, "Software", _ANY),
            ("operator", _TEXT, "Operator", _ANY),
            ("sample", _TEXT, "Sample", _ANY),
            ("acquired_at", _TIME, "Acquired at", _ANY),
            ("data_bar_height_px", _NUMBER, "Data bar height (px)", (0.0, 1e6)),
        )
    }
)


@dataclass(frozen=True, slots=True)
class StatKey:
    """
    Size, times and inode of a file when it was last seen: a reason not to read it again, never its identity.

    Identity is (path, sha256): inodes are reused, and every chmod changes the ctime.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> StatKey:
        """Take the key from a stat result."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)

    def same_content_likely(self, other: StatKey) -> bool:
        """Return whether only the ctime differs, as after a chmod or a virus scanner's touch."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True, slots=True)
class Reading:
    """
    One metadata value with the text it came from.

    ``value`` is ``None`` if the text is there but cannot be used; ``reason`` then says why. Of other values it says what
    there is to know: how it was computed, how surely recognised, which display a magnification refers to.
    """

    value: float | str | bool | None
    raw: str
    source: str  #: e.g. ``tag 34118 AP_MAG``, ``sidecar $CM_MAG``, ``data bar``
    computed: bool = False  #: derived from other values; ``reason`` says how
    reason: str = ""


#: The source of a reading that was recognised in the picture.
DATA_BAR_SOURCE: Final = "data bar"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The state of the text file beside a frame whose values were read: it is read again when this changes."""

    name: str
    sha256: str
    size: int
    mtime_ns: int
    cut: bool = False  #: its last line has no end: it is still being written, or was cut off


#: What most data bars show; the bar of a frame that lacks one of these is worth reading.
BAR_FIELDS: Final = ("magnification", "pixel_size_nm", "accelerating_voltage_kv")


@dataclass(frozen=True, slots=True)
class AcquisitionMetadata:
    """What the instrument wrote about a frame: readings by field name (see `FIELDS`), and flags for what does not agree."""

    vendor: str | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    sidecar: Sidecar | None = None  #: the text file beside the frame that was used, if any

    def value(self, name: str) -> float | str | bool | None:
        """Return the value of a field, ``None`` if it is unknown."""
        reading = self.readings.get(name)
        return None if reading is None else reading.value

    @property
    def lacks_bar_fields(self) -> bool:
        """``True`` if a field is unknown that most data bars show: the bar is worth reading."""
        return any(self.value(name) is None for name in BAR_FIELDS)

    def number(self, name: str) -> float | None:
        """Return the value of a number field, ``None`` if it is unknown."""
        value = self.value(name)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def text(self, name: str) -> str | None:
        """Return the value of a text or time field, ``None`` if it is unknown."""
        value = self.value(name)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class FrameReading:
    """
    A frame as read: who it is, what the instrument says, and the views the network will see.

    ``views``: float32, shape (views, 170, 170), grey values 0..255. The sha256 is of the very bytes that were decoded.
    """

    path: Path
    sha256: str
    stat_key: StatKey
    image_format: str  #: ``TIFF``, ``PNG``, ``JPEG``, ``BMP``
    width: int
    height: int
    pixel_type: str  #: e.g. ``uint8``, ``uint16``, ``uint8 RGB``, ``uint8 palette``
    pages: int
    metadata: AcquisitionMetadata
    views: npt.NDArray[np.float32]
    coloured_share: float = 0.0  #: of the picture's pixels; 0 where they were not decoded
    unsettled: str = (
        ""  #: why its files may still be in work, such as a black tail; it is read again before it is recorded
    )


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """In which space embeddings can be compared: ``sha256`` identifies it, and follows from the other two and the width."""

    sha256: str
    backbone_sha256: str
    projection_sha256: str
    width: int


@dataclass(frozen=True, slots=True)
class Embedding:
    """
    What a frame looks like to the network, compact: ``values`` are ``space.width`` signed 8-bit integers.

    Only their direction means something: frames that look alike have a small angle between their embeddings.
    """

    space: EmbeddingSpace
    values: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of a frame: all ten calibrated probabilities, and whether to believe them."""

    category: str  #: the likeliest category, also where ``uncertain``
    probability: float
    scores: Mapping[str, float]  #: all ten, in the order of `CATEGORIES`; they sum to 1
    uncertain: bool
    margin: float  #: probability minus that of the second likeliest
    bundle_sha256: str  #: which model said so
    novelty: float | None = None  #: distance from what the model was taught, where the bundle can tell
    bundle_name: str = ""  #: the model's name for people
    doubt: str = ""  #: why the category is hardly possible at the frame's scale; makes it ``uncertain``
    embedding: Embedding | None = field(default=None, compare=False)  #: ``None`` if the bundle has no projection


@dataclass(frozen=True, slots=True)
class Window:
    """A closed interval; an open end is ``None``."""

    low: float | None = None
    high: float | None = None

    def contains(self, value: float) -> bool:
        """Return whether a value lies within, ends included."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A frame as targets see it; ``written_at``: when its file was last modified, ``None`` if that is not known."""

    prediction: Prediction
    metadata: AcquisitionMetadata
    path: Path
    written_at: datetime | None


@dataclass(frozen=True, slots=True)
class Among:
    """At least so many of the last ``frames`` frames must meet a target's other conditions, as ``match`` finds them."""

    at_least: int
    frames: int
    match: Callable[[Candidate], Match | None] = field(repr=False, compare=False)

    def counted(self, met: int) -> str:
        """Return the sentence about how many meet them."""
        return f"{met} of the last {self.frames} frames {'>=' if met >= self.at_least else '<'} {self.at_least}"


@dataclass(frozen=True, slots=True)
class Match:
    """A frame meets a target; ``reason`` says it in the operator's words. ``among``: only if other frames do as well."""

    target: str
    reason: str
    channels: tuple[str, ...]
    among: Among | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What happened to one file, ready to be recorded in one transaction.

    ``sha256`` is empty and ``stat_key`` ``None`` if the file could not be read at all.
    """

    path: Path
    state: FrameState
    stat_key: StatKey | None
    sha256: str = ""
    code: str = ""  #: short reason of a failed or skipped file, e.g. ``truncated``
    reason: str = ""  #: the same in a sentence
    retry_after_s: float | None = None  #: try again after so many seconds though the file looks the same
    reading: FrameReading | None = None
    prediction: Prediction | None = None
    matches: tuple[Match, ...] = ()
    first_seen_at: datetime | None = None  #: when emwatch first saw the file, where that is known
    may_describe: tuple[Path, ...] = ()  #: of a text file: frames that are read again if it tells of them


#: Python takes names for text of the locale's encoding: not the same bytes, or text, for everybody who asks.
_NAMES_ARE_UTF8: Final = sys.getfilesystemencoding().lower().replace("-", "") == "utf8"


def path_to_text(path: str | os.PathLike[str]) -> str:
    r"""
    Write a path as plain text that can always be stored and printed as UTF-8, and turned back by `text_to_path`.

    Bytes that are not UTF-8 become ``\xHH``, a literal backslash on POSIX becomes ``\\``. The same file has the same text
    in every locale.
    """
    text = os.fspath(path)
    if not (_NAMES_ARE_UTF8 or text.isascii()):
        text = os.fsencode(text).decode("utf-8", "surrogateescape")
    # Almost every path is plain, and sweeps write thousands; lone surrogates are not printable.
    if os.sep == "\\" or ("\\" not in text and (text.isascii() or text.isprintable())):
        return text
    return "".join(
        f"\\x{ord(char) - 0xDC00:02x}" if 0xDC80 <= ord(char) <= 0xDCFF else "\\\\" if char == "\\" else char
        for char in text
    )


def text_to_path(text: str) -> Path:
    """Turn text written by `path_to_text` back into the path."""
    if os.sep == "\\" or ("\\" not in text and (_NAMES_ARE_UTF8 or text.isascii())):
        return Path(text)
    chars: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\\":
            chars.append(text[at])
            at += 1
        elif text[at + 1 : at + 2] == "x":
            chars.append(chr(0xDC00 + int(text[at + 2 : at + 4], 16)))
            at += 4
        else:
            chars.append("\\")
            at += 2
    name = "".join(chars)
    return Path(name if _NAMES_ARE_UTF8 else os.fsdecode(name.encode("utf-8", "surrogateescape")))
