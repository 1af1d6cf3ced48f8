"""A text beside a picture may belong to an earlier frame of the name: its age and what it names decide, and are told."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from emwatch.readers.frame_reader import read_frame

if TYPE_CHECKING:
    from pathlib import Path

_PICTURE_S = 1_700_000_000


@pytest.fixture(name="frame")
def _frame(build: Any, tmp_path: Path) -> Path:
    frame = tmp_path / "frame.tif"
    frame.write_bytes(build.tiff(np.full((30, 32), 90, np.uint8)))
    os.utime(frame, (_PICTURE_S, _PICTURE_S))
    return frame


def _write(path: Path, content: bytes, seconds_later: float) -> Path:
    path.write_bytes(content)
    os.utime(path, (_PICTURE_S + seconds_later, _PICTURE_S + seconds_later))
    return path


def test_what_identifies_the_text_is_kept(build: Any, frame: Path) -> None:
    content = build.hitachi_txt()
    text = _write(frame.with_suffix(".txt"), content, 1)

    sidecar = read_frame(frame, None).metadata.sidecar

    assert sidecar is not None
    assert (sidecar.name, sidecar.sha256) == ("frame.txt", hashlib.sha256(content).hexdigest())
    assert (sidecar.size, sidecar.mtime_ns) == (len(content), text.stat().st_mtime_ns)


@pytest.mark.parametrize(
    ("seconds_later", "told"),
    [(60, ""), (-1.5, ""), (-4, "4 s"), (-300, "5 minutes"), (-4 * 86_400, "4 days")],
)
def test_a_text_older_than_its_picture_is_flagged_and_waited_for(
    build: Any, frame: Path, seconds_later: float, told: str
) -> None:
    _write(frame.with_suffix(".txt"), build.hitachi_txt({"ImageName": None}), seconds_later)

    reading = read_frame(frame, None)

    flag = f"sidecar frame.txt is {told} older than the picture: it may belong to an earlier frame"
    assert reading.metadata.flags == ((flag,) if told else ())
    assert reading.metadata.number("magnification") == 1200.0
    assert bool(reading.unsettled) is bool(told)


def test_an_older_text_that_names_the_picture_is_believed_but_waited_for(build: Any, frame: Path) -> None:
    _write(frame.with_suffix(".txt"), build.hitachi_txt({"ImageName": "FRAME.tif"}), -60)

    reading = read_frame(frame, None)

    assert reading.metadata.flags == ()
    assert "older than the picture" in reading.unsettled


def test_of_two_texts_the_one_that_is_not_older_is_read(build: Any, frame: Path) -> None:
    _write(frame.with_name("frame-tif.hdr"), build.tescan_hdr({"MAIN.Magnification": "111"}), -60)
    _write(frame.with_name("frame.hdr"), build.tescan_hdr({"MAIN.Magnification": "222"}), 1)

    assert read_frame(frame, None).metadata.number("magnification") == 222.0


def test_of_two_texts_the_one_that_names_the_picture_is_read(build: Any, frame: Path) -> None:
    _write(frame.with_name("frame-tif.hdr"), build.tescan_hdr({"MAIN.Magnification": "111"}), 1)
    named = build.tescan_hdr({"MAIN.Magnification": "222", "MAIN.Description": "saved as frame.tif"})
    _write(frame.with_name("frame.hdr"), named, -60)

    assert read_frame(frame, None).metadata.number("magnification") == 222.0
