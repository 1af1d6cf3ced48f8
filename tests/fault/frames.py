"""
Frames for fault tests: tiny, valid TIFFs whose category the stub engine tells from their mean grey, written in every way.

Run as a program it is the pretend acquisition PC: frames at a rate, the write modes in turn, one manifest line per frame
when its final bytes are in place. Frames that take long are written beside each other, so a rate is kept in every mode.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import sys
import time
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.frame import CATEGORIES
from emwatch.simulate.tiff import WrittenPage, encode_tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How frames get into the directory: those of `emwatch.simulate.microscope.WriteMode` that end with a whole frame.
MODES: Final = ("plain", "atomic", "tmp-rename", "slow-write", "prealloc", "sidecar-late", "burst")
#: The category of every tenth frame, which the targets of fault tests look for.
WANTED: Final = "Nanowires"

_SIDE_PX: Final = 64
_CHUNKS: Final = 6
_PAUSE_S: Final = 0.05
_BURST: Final = 20


def category_of(number: int) -> str:
    """The category that the stub engine sees in a frame."""
    return CATEGORIES[number % len(CATEGORIES)]


def frame(number: int, *, stream: int = 0) -> bytes:
    """A frame of its own content: the directory before the pixels in even ones, as SmartSEM has it, else behind them."""
    noise = np.random.Generator(np.random.PCG64([stream, number])).integers(-9, 10, _SIDE_PX * _SIDE_PX)
    grey = 25.5 * (number % len(CATEGORIES) + 0.5)
    pixels = np.clip(noise + grey, 1, 255).astype(np.uint8).tobytes()
    whole, at = _template(number % 2 == 0)
    return whole[:at] + pixels + whole[at + len(pixels) :]


def pixels_at(number: int) -> int:
    """Where the pixels stand in a frame."""
    return _template(number % 2 == 0)[1]


@cache
def _template(directory_first: bool) -> tuple[bytes, int]:
    pixels = np.full((_SIDE_PX, _SIDE_PX), 255, np.uint8)
    whole = encode_tiff([WrittenPage(pixels, rows_per_strip=8)], directory_first=directory_first)
    return whole, whole.index(b"\xff" * pixels.size)


def write(folder: Path, numbers: range, *, stream: int = 0) -> dict[Path, str]:
    """Write frames plainly; returns the sha256 of each by path."""
    written = {}
    for number in numbers:
        data = frame(number, stream=stream)
        path = folder / f"frame_{number:06d}.tif"
        path.write_bytes(data)
        written[path] = hashlib.sha256(data).hexdigest()
    return written


def deliver(path: Path, data: bytes, mode: str) -> Iterator[float]:
    """Bring a frame into the directory in a mode; returns the seconds to pause between its steps."""
    if mode == "atomic":
        elsewhere = path.parent.with_name(f".{path.name}.part")
        elsewhere.write_bytes(data)
        elsewhere.replace(path)
    elif mode == "tmp-rename":
        unfinished = path.with_name(f"{path.name}.tmp")
        unfinished.write_bytes(data)
        yield 0.01
        unfinished.replace(path)
    elif mode in ("slow-write", "prealloc"):
        step = -(-len(data) // _CHUNKS)
        with path.open("wb", buffering=0) as file:
            if mode == "prealloc":
                file.truncate(len(data))
            for at in range(0, len(data), step):
                yield _PAUSE_S
                file.write(data[at : at + step])
    else:
        path.write_bytes(data)
        if mode == "sidecar-late":
            yield _PAUSE_S
            path.with_suffix(".txt").write_text(f"Sample: {path.stem}\r\n", encoding="utf-8")


def acquire(out: Path, manifest: Path, frames: int, rate: float, modes: tuple[str, ...], first: int = 0) -> None:
    """Write frames at a rate (0: as fast as it goes), the modes in turn; those of bursts come twenty at once."""
    steps: list[tuple[float, int, Iterator[float], str]] = []
    order = count()
    began = time.monotonic()
    for index in range(frames):
        mode = modes[index % len(modes)]
        turn = index // (_BURST * len(modes)) * _BURST * len(modes) if mode == "burst" else index
        path = out / f"frame_{first + index:06d}.tif"
        data = frame(first + index)
        line = {"path": os.fspath(path), "sha256": hashlib.sha256(data).hexdigest(), "mode": mode}
        line["category"] = category_of(first + index)
        due = began + (turn / rate if rate else 0.0)
        heapq.heappush(steps, (due, next(order), deliver(path, data, mode), json.dumps(line)))
    with manifest.open("a", encoding="utf-8") as told:
        while steps:
            due, _, step, line = heapq.heappop(steps)
            if (pause := due - time.monotonic()) > 0:
                time.sleep(pause)
            try:
                heapq.heappush(steps, (time.monotonic() + next(step), next(order), step, line))
            except StopIteration:
                told.write(line + "\n")
                told.flush()


if __name__ == "__main__":
    _out, _manifest, _frames, _rate, _modes, _first = sys.argv[1:]
    acquire(Path(_out), Path(_manifest), int(_frames), float(_rate), tuple(_modes.split(",")), int(_first))
