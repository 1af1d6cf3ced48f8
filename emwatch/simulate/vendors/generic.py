"""A plain grey TIFF without a word about the microscope, as left by an export or an unknown instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import WrittenPage, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot


def _files(shot: Shot) -> Mapping[str, bytes]:
    return {".tif": encode_tiff([WrittenPage(shot.pixels, rows_per_strip=64)])}


VENDOR: Final = Vendor(
    name="generic",
    reference_width_mm=127.0,
    instruments=(("SEM", "1"),),
    detectors=("SE", "BSE"),
    bars=("none", "strip-inside-white", "strip-inside-black", "corner-box", "one-line"),
    files=_files,
    tells=(),
)
