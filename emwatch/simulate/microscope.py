"""
The pretend microscope: it takes frames at a rate and writes them the way instruments and their copy tools do.

Every frame's truth goes to a manifest, one JSON document a line, written and flushed when the file has its final bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.clock import Clock, SystemClock
from emwatch.errors import EmwatchError
from emwatch.filesystem import real_path
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.simulate.acquisition import Acquisition, Shot
from emwatch.simulate.data_bar import Barred, with_data_bar
from emwatch.simulate.painter import Drawing, draw_frame
from emwatch.simulate.vendors import COMMON, VENDORS, vendor_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from emwatch.simulate.vendors.vendor import Vendor

_CHUNKS: Final = 12
_BURST: Final = 64  # frames held in memory (0.8 MB each) so that drawing does not space out their writing
_TRUNCATED_EVERY: Final = 5
_SHOT_STREAM: Final = 3
_BAR_STREAM: Final = 4
_SEEDS_APART: Final = 1_000_003  # so that sessions of neighbouring seeds share no frame
#: The instrument's clock at the first frame, unless told otherwise; local time, no zone, as headers have it.
SESSION_START: Final = datetime(2026, 3, 2, 9, 14, 7)  # noqa: DTZ001 (an instrument's header has no zone)


class WriteMode(StrEnum):
    """How a frame gets into the acquisition directory."""

    PLAIN = "plain"  #: written under its name, then closed
    ATOMIC = "atomic"  #: written elsewhere on the same file system, renamed in whole
    TMP_RENAME = "tmp-rename"  #: written as ``x.tif.tmp`` in the directory, then renamed
    SLOW_WRITE = "slow-write"  #: dribbles in, with pauses
    PREALLOC = "prealloc"  #: has its full size at once and is filled afterwards
    SIDECAR_LATE = "sidecar-late"  #: the text file that belongs to the frame comes after it
    BURST = "burst"  #: many at once, no pacing
    TRUNCATED = "truncated"  #: every fifth ends early and stays so


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one written frame. Names and units as in `emwatch.frame.FIELDS`; ``closed_at`` is ISO 8601."""

    path: str
    sha256: str
    category: str
    kind: str
    vendor: str
    magnification: float
    stage_tilt_deg: float
    working_distance_mm: float
    accelerating_voltage_kv: float
    pixel_size_nm: float
    detector: str
    acquired_at: str
    complete: bool
    in_header: bool  #: whether the files tell the acquisition; else only the data bar does, if there is one
    told: tuple[str, ...]  #: which of these fields the files state, or what follows from what they state
    data_bar: str
    data_bar_rows: tuple[int, int]  #: first and last + 1 row that the bar touches; equal without a bar
    scale_bar_px: int
    scale_bar_nm: float
    closed_at: str

    def as_json(self) -> str:
        """Return the line of the manifest."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """A picture with its data bar, ready to be written, and what is true of it."""

    drawing: Drawing
    acquisition: Acquisition
    vendor: Vendor
    data_bar: str
    barred: Barred

    def files(self, file_name: str) -> Mapping[str, bytes]:
        """Return the vendor's files by name suffix, the frame first."""
        barred = self.barred
        return self.vendor.files(
            Shot(
                barred.pixels,
                barred.picture_height_px,
                self.acquisition,
                file_name,
                barred.scale_bar_px,
                barred.scale_bar_nm,
            )
        )


def bar_style(seed: int, vendor: str) -> str:
    """Return the data bar style of a frame: one of the vendor's, each as often; the category has no say."""
    styles = vendor_named(vendor).bars
    return styles[int(np.random.Generator(np.random.PCG64([_BAR_STREAM, seed])).integers(len(styles)))]


def take_picture(
    category: str,
    seed: int,
    vendor: str = "generic",
    *,
    width: int = 1024,
    height: int = 768,
    acquired_at: datetime = SESSION_START,
) -> SimulatedFrame:
    """
    Draw a frame with a data bar, as an instrument of this vendor would show it; ``barred.pixels`` are what is seen.

    The bar's style and every setting follow from seed and vendor alone, never from the category.
    """
    rng = np.random.Generator(np.random.PCG64([_SHOT_STREAM, seed]))
    maker = vendor_named(vendor)
    drawing = draw_frame(category, seed, width, height)
    acquisition = _acquisition(drawing, maker, width, rng, acquired_at)
    style = bar_style(seed, vendor)
    return SimulatedFrame(drawing, acquisition, maker, style, with_data_bar(drawing.pixels, style, acquisition, rng))


class Microscope:
    """
    Takes ``frames`` frames and writes them into ``out``.

    ``rate``: frames a second (0 or the burst mode: as fast as they can be drawn). ``vendor``: a name of `VENDORS`, or
    ``mixed`` to change between the common makers after every frame, ``all`` to go through every format. ``categories``: those to draw, in balanced turns; all ten by default.
    ``manifest``: by default ``<out>.manifest.ndjson`` beside the directory. ``pause_s``: between two chunks of a slow write,
    and before a late sidecar. ``first_number``: of the first file name. Raises `EmwatchError` if an argument or the
    directory cannot be used, and rather than overwrite a file.
    """

    def __init__(
        self,
        out: Path,
        frames: int,
        *,
        rate: float = 1.0,
        mode: WriteMode | str = WriteMode.PLAIN,
        vendor: str = "zeiss",
        seed: int = 0,
        categories: Sequence[str] | None = None,
        width: int = 1024,
        height: int = 768,
        manifest: Path | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        pause_s: float = 0.05,
        session_start: datetime = SESSION_START,
        first_number: int = 1,
    ) -> None:
        self.out = out
        self.frames = frames
        self.mode = _mode_named(str(mode))
        self.manifest = manifest if manifest is not None else out.with_name(f"{out.name}.manifest.ndjson")
        self._rate = rate
        self._vendors = _vendors_named(vendor)
        self._seed = seed
        self._categories = _known(categories)
        self._size = (width, height)
        self._clock = clock if clock is not None else SystemClock()
        self._sleep = sleep
        self._pause_s = pause_s
        self._session_start = session_start
        self._first_number = first_number

    def run(self) -> Iterator[Truth]:
        """Write the frames, giving each one's truth when its files are as they will stay."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            self.manifest.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EmwatchError(
                f"{self.out}: cannot be made ready for frames ({error.strerror or error}); choose another --out"
            ) from error
        started = self._clock.monotonic()
        with self.manifest.open("a", encoding="utf-8", newline="\n") as manifest:
            for index, picture in self._pictures():
                if self._rate > 0 and self.mode is not WriteMode.BURST:
                    self._sleep(max(0.0, started + index / self._rate - self._clock.monotonic()))
                truth = self._take(index, picture)
                manifest.write(truth.as_json() + "\n")
                manifest.flush()
                yield truth

    def _pictures(self) -> Iterator[tuple[int, SimulatedFrame]]:
        if self.mode is not WriteMode.BURST:
            yield from ((index, self._expose(index)) for index in range(self.frames))
            return
        for first in range(0, self.frames, _BURST):
            yield from [(index, self._expose(index)) for index in range(first, min(first + _BURST, self.frames))]

    def _expose(self, index: int) -> SimulatedFrame:
        return take_picture(
            self.category_of(index),
            self.seed_of(index),
            self._vendors[index % len(self._vendors)],
            width=self._size[0],
            height=self._size[1],
            acquired_at=self._session_start + timedelta(seconds=41 * index),
        )

    def category_of(self, index: int) -> str:
        """Return the category whose turn it is: every round holds each once, in an order of its own."""
        turn, place = divmod(index, len(self._categories))
        order = np.random.Generator(np.random.PCG64([self._seed, turn])).permutation(len(self._categories))
        return self._categories[int(order[place])]

    def seed_of(self, index: int) -> int:
        """Return the seed of one frame's picture."""
        return self._seed * _SEEDS_APART + index

    def _stem(self, index: int) -> str:
        return f"frame_{self._first_number + index:04d}"

    def _take(self, index: int, picture: SimulatedFrame) -> Truth:
        (suffix, data), *sidecars = picture.files(f"{self._stem(index)}.tif").items()
        path = self.out / f"{self._stem(index)}{suffix}"
        complete = self.mode is not WriteMode.TRUNCATED or index % _TRUNCATED_EVERY != _TRUNCATED_EVERY - 1
        if not complete:
            data = data[: len(data) * 3 // 5]
        late = self.mode is WriteMode.SIDECAR_LATE
        if late and not sidecars:
            sidecars = [(".txt", _note(picture.acquisition))]
        self._refuse_to_overwrite(path, *(self.out / f"{self._stem(index)}{name}" for name, _ in sidecars))
        for name, content in [] if late else sidecars:
            self.out.joinpath(f"{self._stem(index)}{name}").write_bytes(content)
        self._write(path, data)
        for name, content in sidecars if late else []:
            self._sleep(self._pause_s)
            self.out.joinpath(f"{self._stem(index)}{name}").write_bytes(content)
        return self._truth(path, data, picture, complete=complete)

    def _refuse_to_overwrite(self, *paths: Path) -> None:
        for path in paths:
            if path.exists():
                raise EmwatchError(f"{path}: already there, and frames are never overwritten; choose an empty --out")

    def _write(self, path: Path, data: bytes) -> None:
        if self.mode is WriteMode.ATOMIC:
            self._write_elsewhere(path, data)
        elif self.mode is WriteMode.TMP_RENAME:
            unfinished = path.with_name(f"{path.name}.tmp")
            unfinished.write_bytes(data)
            unfinished.replace(path)
        elif self.mode in (WriteMode.SLOW_WRITE, WriteMode.PREALLOC):
            with path.open("wb", buffering=0) as file:
                if self.mode is WriteMode.PREALLOC:
                    file.truncate(len(data))
                self._dribble(file, data)
        else:
            path.write_bytes(data)

    def _write_elsewhere(self, path: Path, data: bytes) -> None:
        """Write beside the directory if that is the same file system, else under a hidden name in it; then rename."""
        beside = real_path(self.out).parent
        if beside.stat().st_dev == self.out.stat().st_dev and os.access(beside, os.W_OK):
            unfinished = beside / f".{self.out.name}-{path.name}.part"
        else:
            unfinished = path.with_name(f".{path.name}.part")
        unfinished.write_bytes(data)
        unfinished.replace(path)

    def _dribble(self, file: BinaryIO, data: bytes) -> None:
        step = -(-len(data) // _CHUNKS)
        for start in range(0, len(data), step):
            if start:
                self._sleep(self._pause_s)
            file.write(data[start : start + step])

    def _truth(self, path: Path, data: bytes, picture: SimulatedFrame, *, complete: bool) -> Truth:
        acquisition = picture.acquisition
        return Truth(
            path=path_to_text(path),
            sha256=hashlib.sha256(data).hexdigest(),
            category=picture.drawing.category,
            kind=picture.drawing.kind,
            vendor=picture.vendor.name,
            magnification=acquisition.magnification,
            stage_tilt_deg=acquisition.stage_tilt_deg,
            working_distance_mm=acquisition.working_distance_mm,
            accelerating_voltage_kv=acquisition.accelerating_voltage_kv,
            pixel_size_nm=acquisition.pixel_size_nm,
            detector=acquisition.detector,
            acquired_at=acquisition.acquired_at.isoformat(),
            complete=complete,
            in_header=bool(picture.vendor.tells),
            told=picture.vendor.tells,
            data_bar=picture.data_bar,
            data_bar_rows=picture.barred.bar_rows,
            scale_bar_px=picture.barred.scale_bar_px,
            scale_bar_nm=picture.barred.scale_bar_nm,
            closed_at=self._clock.now().isoformat(),
        )


def _mode_named(name: str) -> WriteMode:
    if name not in set(WriteMode):
        raise EmwatchError(f"unknown write mode {name!r}: choose one of {', '.join(WriteMode)}")
    return WriteMode(name)


def _vendors_named(name: str) -> tuple[str, ...]:
    if name == "mixed":
        return COMMON
    return tuple(VENDORS) if name == "all" else (vendor_named(name).name,)


def _known(categories: Sequence[str] | None) -> tuple[str, ...]:
    for category in categories or ():
        if category not in CATEGORIES:
            raise EmwatchError(f"unknown category {category!r}: choose one of {', '.join(CATEGORIES)}")
    return tuple(categories) if categories else CATEGORIES


def _note(acquisition: Acquisition) -> bytes:
    """Return an operator's note, for makers that write no sidecar of their own."""
    return f"Sample: {acquisition.sample}\r\nOperator: {acquisition.operator}\r\n".encode()


def _acquisition(
    drawing: Drawing, vendor: Vendor, width_px: int, rng: np.random.Generator, when: datetime
) -> Acquisition:
    """Set the microscope for a drawing: a round magnification that gives about its field width, the rest at random."""
    wanted = vendor.reference_width_mm * 1e3 / drawing.field_width_um
    step = 10.0 ** (np.floor(np.log10(wanted)) - 1)
    magnification = float(round(wanted / step) * step)
    instrument, serial = vendor.instruments[int(rng.integers(len(vendor.instruments)))]
    working_distance_mm = round(float(rng.uniform(2.5, 12.0)), 1)
    return Acquisition(
        magnification=magnification,
        pixel_size_nm=vendor.reference_width_mm * 1e6 / magnification / width_px,
        stage_tilt_deg=drawing.stage_tilt_deg,
        working_distance_mm=working_distance_mm,
        accelerating_voltage_kv=float(rng.choice([1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0])),
        detector=str(rng.choice(vendor.detectors)),
        acquired_at=when,
        instrument=instrument,
        serial=serial,
        stage_x_mm=round(float(rng.uniform(-30, 30)), 4),
        stage_y_mm=round(float(rng.uniform(-30, 30)), 4),
        stage_z_mm=round(working_distance_mm + float(rng.uniform(0, 20)), 3),
        stage_rotation_deg=round(float(rng.uniform(0, 360)), 1),
        beam_current_na=round(float(rng.choice([0.025, 0.05, 0.1, 0.4])), 3),
        dwell_time_us=float(rng.choice([0.1, 0.3, 1.0, 3.0])),
        sample=f"sample {int(rng.integers(1, 40))}",
    )
