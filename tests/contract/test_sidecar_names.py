"""Readers ask for text beside a frame by names; the watcher has to find the frame back from each of those names."""

from __future__ import annotations

from pathlib import Path

import pytest

from emwatch.readers.raw_frame import RawFrame
from emwatch.readers.registry import read_header
from emwatch.watch.patterns import frames_beside


@pytest.mark.parametrize(
    "name",
    [
        "frame.tif",
        "FRAME.TIF",
        "frame.tiff",
        "a.b.tif",
        "frame.bmp",
        "frame.jpg",
        "frame.JPG",
        "frame.jpeg",
        "frame.png",
    ],
)
def test_every_name_that_readers_ask_for_leads_back_to_the_frame(name: str) -> None:
    asked: list[str] = []
    frame = Path("/acquisition") / name
    read_header(RawFrame(frame, b"", "TIFF", 64, 48, sidecar=asked.append))

    assert len(set(asked)) >= 6
    assert [each for each in asked if frame not in frames_beside(frame.with_name(each))] == []
