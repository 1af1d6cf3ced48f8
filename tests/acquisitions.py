"""A state of the pretend microscope for tests, and frames that tell it by their data bar alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from emwatch.simulate.acquisition import Acquisition
from emwatch.simulate.data_bar import with_data_bar

if TYPE_CHECKING:
    from pathlib import Path

_ANY = Acquisition(
    magnification=5000.0,
    pixel_size_nm=24.8,
    stage_tilt_deg=30.0,
    working_distance_mm=4.5,
    accelerating_voltage_kv=5.0,
    detector="InLens",
    acquired_at=datetime(2024, 5, 26, 7, 8, 9),  # noqa: DTZ001 - instruments name no zone.
    instrument="Auriga",
    serial="1",
)


def acquisition(**changes: Any) -> Acquisition:
    """5000 times, 30 degrees, 4.5 mm, 5 kV, 26 May 2024, but for what a test says otherwise."""
    return replace(_ANY, **changes)


def save_barred(path: Path, magnification: float = 5000.0, seed: int = 7) -> Path:
    """Save a picture that tells its acquisition by a white strip below it, and in no other way."""
    shown = acquisition(magnification=magnification, pixel_size_nm=124_000 / magnification)
    picture = np.random.default_rng(seed).integers(60, 200, (768, 1024), dtype=np.uint8)
    Image.fromarray(with_data_bar(picture, "below-white", shown, np.random.default_rng(3)).pixels).save(path)
    return path
