"""The scale bar drawn into the picture is held against the pixel size in the header, where the picture is decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emwatch.readers.frame_reader import read_frame
from emwatch.simulate.microscope import Microscope, WriteMode


@pytest.fixture(name="frame")
def _frame(tmp_path: Path) -> Path:
    """A frame with Hitachi's older text, without XP tags that contradict a changed one, which says what the scale bar stands for."""
    (truth,) = Microscope(tmp_path, 1, rate=0, mode=WriteMode.PLAIN, vendor="hitachi-sjis", seed=3).run()
    return tmp_path / Path(truth.path).name


def _scale_bar_flags(frame: Path, *, decoded: bool = True) -> list[str]:
    found = read_frame(frame, (lambda _pixels, _rows: np.zeros((1, 170, 170), np.float32)) if decoded else None)
    return [flag for flag in found.metadata.flags if "scale bar" in flag]


def _rewrite(frame: Path, **values: str) -> None:
    sidecar = frame.with_suffix(".txt")
    lines = sidecar.read_bytes().decode("cp932").splitlines()
    kept = [line for line in lines if line.partition("=")[0] not in values]
    assert len(kept) == len(lines) - len(values)
    lines = kept + [f"{key}={value}" for key, value in values.items() if value]
    sidecar.write_bytes("".join(f"{line}\r\n" for line in lines).encode("cp932"))


def test_a_sound_frame_is_in_peace(frame: Path) -> None:
    assert _scale_bar_flags(frame) == []


def test_a_label_of_twice_the_length_is_flagged(frame: Path) -> None:
    text = frame.with_suffix(".txt").read_bytes().decode("cp932")
    label = next(line.partition("=")[2] for line in text.splitlines() if line.startswith("MicronMarker="))
    _rewrite(frame, MicronMarker=f"{2 * float(label):g}")

    (flag,) = _scale_bar_flags(frame)
    assert "its label says" in flag


def test_without_a_label_a_length_that_is_not_round_is_flagged(frame: Path) -> None:
    pixel_nm = read_frame(frame, None).metadata.number("pixel_size_nm")
    assert pixel_nm is not None
    _rewrite(frame, MicronMarker="", PixelSize=f"{pixel_nm * 1.3:.4f}")

    (flag,) = _scale_bar_flags(frame)
    assert "no round length" in flag


def test_a_picture_that_is_not_decoded_is_not_measured(frame: Path) -> None:
    _rewrite(frame, MicronMarker="1")

    assert _scale_bar_flags(frame, decoded=False) == []


def test_jeols_label_is_known_too(tmp_path: Path) -> None:
    (truth,) = Microscope(tmp_path, 1, rate=0, mode=WriteMode.PLAIN, vendor="jeol-txt", seed=3).run()
    frame = tmp_path / Path(truth.path).name
    sidecar = frame.with_suffix(".txt")
    text = sidecar.read_text(encoding="cp1252")
    sound = _scale_bar_flags(frame)
    drawn = f"$$SM_MICRON_BAR {truth.scale_bar_px}"
    assert drawn in text
    sidecar.write_text(text.replace(drawn, f"$$SM_MICRON_BAR {truth.scale_bar_px // 2}"), encoding="cp1252")

    (flag,) = _scale_bar_flags(frame)
    assert sound == []
    assert "its label says" in flag
