"""What the pretend microscope knows of one shot: the truth that a vendor's header, the data bar and the manifest tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Acquisition:
    """
    The state of the microscope when a frame was taken; names and units as in `emwatch.frame.FIELDS`.

    ``pixel_size_nm`` is that of the stored picture. ``acquired_at`` is the instrument's local time, without a zone.
    """

    magnification: float
    pixel_size_nm: float
    stage_tilt_deg: float
    working_distance_mm: float
    accelerating_voltage_kv: float
    detector: str
    acquired_at: datetime
    instrument: str
    serial: str
    stage_x_mm: float = 0.0
    stage_y_mm: float = 0.0
    stage_z_mm: float = 5.0
    stage_rotation_deg: float = 0.0
    beam_current_na: float = 0.1
    dwell_time_us: float = 1.0
    scan_rotation_deg: float = 0.0
    tilt_correction: bool = False
    tilt_correction_deg: float = 0.0
    operator: str = "operator"
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Shot:
    """
    A finished picture on its way to a vendor's file format.

    ``pixels``: uint8 or uint16, shape (height, width), data bar included. ``picture_height_px``: the rows above a bar
    that stands below the picture; the whole height if the bar lies inside the picture or is absent.
    ``magnification`` and ``pixel_size_nm`` agree through `Vendor.reference_width_mm`. ``scale_bar_px`` and
    ``scale_bar_nm``: the drawn scale bar and what its label says, which some makers write down; 0 without one.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    picture_height_px: int
    acquisition: Acquisition
    file_name: str
    scale_bar_px: int = 0
    scale_bar_nm: float = 0.0

    @property
    def width_px(self) -> int:
        """The columns of the picture."""
        return int(self.pixels.shape[1])

    @property
    def height_px(self) -> int:
        """The rows of the file, data bar included."""
        return int(self.pixels.shape[0])

    @property
    def bar_height_px(self) -> int:
        """The rows of a bar that stands below the picture."""
        return self.height_px - self.picture_height_px
