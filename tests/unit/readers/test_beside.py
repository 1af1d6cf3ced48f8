"""Frames with a text beside them, from the folder through the child: whatever the text is, the frame goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from emwatch.readers.frame_reader import read_frame
from emwatch.readers.sandbox.frame_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PIXELS = np.arange(32 * 30, dtype=np.uint8).reshape(30, 32) | 1


@pytest.fixture(name="sandbox", scope="module")
def _sandbox() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


def test_the_child_reads_the_text_beside_a_frame(build: Any, written: Callable[..., Path], sandbox: Sandbox) -> None:
    path = written(build.tiff(_PIXELS))
    written(build.jeol_txt(), "frame.txt")

    found = sandbox.read(path, pixels=False).metadata

    assert (found.vendor, found.number("magnification"), found.number("pixel_size_nm")) == ("JEOL", 1800.0, 1250.0)
    assert found.readings["stage_tilt_deg"].source == "sidecar $CM_STAGE_POS"


def test_a_frame_whose_text_comes_later_is_read_without_and_then_with_it(
    build: Any, written: Callable[..., Path], sandbox: Sandbox
) -> None:
    path = written(build.tiff(_PIXELS))
    before = sandbox.read(path, pixels=False).metadata
    written(build.hitachi_txt(), "frame.txt")
    after = sandbox.read(path, pixels=False).metadata

    assert (before.vendor, after.vendor, after.number("stage_tilt_deg")) == (None, "Hitachi", 15.5)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("jeol_txt", "frame.txt"),
        ("hitachi_txt", "frame.txt"),
        ("tescan_hdr", "frame.hdr"),
        ("sec_text", "frame.tif.txt"),
    ],
)
def test_a_text_that_is_still_being_written_is_flagged_until_it_is_whole(
    build: Any, written: Callable[..., Path], header: str, name: str
) -> None:
    path = written(build.tiff(_PIXELS))
    made = getattr(build, header)
    whole: bytes = made.encode() if isinstance(made, str) else made()
    flags = []
    for text in (whole[: len(whole) * 4 // 5 - 1], whole):
        written(text, name)
        metadata = read_frame(path, None).metadata
        assert metadata.sidecar is not None
        flags.append((metadata.sidecar.cut, [each for each in metadata.flags if "breaks off" in each]))

    cut = f"sidecar {name} breaks off: it is still being written, or was cut"
    assert flags == [(True, [cut]), (False, [])]


@pytest.mark.parametrize("name", ["frame.txt", "frame.tif.txt", "frame.hdr", "frame-tif.hdr"])
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00" * 5000,
        b"\xff\xfe",
        b"\xff" * 999,
        b"[MAIN]\r\n[SEM]",
        b"[SemImageFile]",
        b"$CM_",
        b"[Image Info]",
        b"$CM_MAG " + b"9" * 900_000,
        b"[MAIN]\nMagnification=" + b"x" * 2_000_000,
    ],
)
def test_no_text_beside_a_frame_costs_the_frame(
    build: Any, written: Callable[..., Path], name: str, text: bytes
) -> None:
    path = written(build.tiff(_PIXELS))
    written(text, name)

    reading = read_frame(path, None)

    assert (reading.width, [r for r in reading.metadata.readings.values() if r.value is not None]) == (32, [])
    assert not [flag for flag in reading.metadata.flags if "could not be read" in flag]


def test_a_frame_acquired_after_its_file_was_written_is_flagged(build: Any, written: Callable[..., Path]) -> None:
    path = written(build.tiff(tags={34118: build.zeiss({"AP_DATE": "Date :8 Jan 2121"})}))

    (flag,) = [flag for flag in read_frame(path, None).metadata.flags if "acquired" in flag]

    assert flag.startswith("acquired at 2121-01-08T09:56:16, after the file was last written")
