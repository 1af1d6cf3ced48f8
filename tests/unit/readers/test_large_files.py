"""A large file that is no frame, or not yet one, costs a few kilobytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from emwatch import errors
from emwatch.readers.frame_reader import read_frame

if TYPE_CHECKING:
    from collections.abc import Callable

_MIB = 1024 * 1024
_SIDE = 3000  # 9 MB: large enough to be looked at before it is read


def _read_bytes(action: Callable[[], object]) -> int:
    """Return how many bytes this process read meanwhile; Linux counts them."""
    counters = Path("/proc/self/io")
    before = counters.read_text(encoding="ascii")
    try:
        action()
    finally:
        after = counters.read_text(encoding="ascii")
    return int(after.split()[1]) - int(before.split()[1])


def _refusal(path: Path, kind: type[errors.FrameError]) -> tuple[str, int]:
    refused: list[str] = []

    def read() -> None:
        with pytest.raises(kind) as caught:
            read_frame(path, None)
        refused.append(str(caught.value))

    read_frame_cost = _read_bytes(read)
    return refused[0], read_frame_cost


def test_a_log_of_any_size_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    log = tmp_path / "session.log"
    log.write_bytes(b"2026-03-02 09:14:07 chamber vented\n" * 1000)
    os.truncate(log, 3000 * _MIB)

    message, cost = _refusal(log, errors.NotAFrame)

    assert "starts with the text" in message
    assert cost < 100_000


def _grey() -> np.ndarray[Any, Any]:
    return np.random.default_rng(2).integers(1, 255, (_SIDE, _SIDE), np.uint8)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.99])
def test_a_tiff_that_is_being_written_is_not_read_whole_each_time(build: Any, tmp_path: Path, share: float) -> None:
    whole = build.tiff(_grey(), rows_per_strip=50)
    frame = tmp_path / "frame.tif"
    frame.write_bytes(whole[: int(len(whole) * share)])

    message, cost = _refusal(frame, errors.Truncated)

    assert "strips lie beyond" in message
    assert cost < 100_000


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_another_picture_that_is_being_written_is_not_read_whole_each_time(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(_grey()).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    frame = tmp_path / "frame.img"
    frame.write_bytes(buffer.getvalue()[:-70_000])

    _, cost = _refusal(frame, errors.Truncated)

    assert cost < 200_000


def test_reserved_space_that_is_being_filled_is_not_read_whole_each_time(build: Any, tmp_path: Path) -> None:
    whole = bytearray(build.tiff(_grey(), rows_per_strip=50))
    whole[len(whole) // 2 :] = bytes(len(whole) - len(whole) // 2)
    frame = tmp_path / "frame.tif"
    frame.write_bytes(whole)

    _, cost = _refusal(frame, errors.Unsteady)

    assert cost < _MIB


def test_reserved_space_that_is_left_as_it_is_is_a_frame(build: Any, tmp_path: Path) -> None:
    pixels = _grey()
    pixels[_SIDE // 2 :] = 0
    frame = tmp_path / "frame.tif"
    frame.write_bytes(build.tiff(pixels, rows_per_strip=50))
    for age_s in (60, -3600):  # written long ago, or by a clock that is ahead
        modified_s = frame.stat().st_ctime - age_s
        os.utime(frame, (modified_s, modified_s))

        assert read_frame(frame, None).unsettled == "its last rows are black, or not written yet"


def test_a_whole_large_frame_is_read_once(build: Any, tmp_path: Path) -> None:
    frame = tmp_path / "frame.tif"
    frame.write_bytes(build.tiff(_grey(), rows_per_strip=50))
    size = frame.stat().st_size

    assert size <= _read_bytes(lambda: read_frame(frame, None)) < size + 200_000
