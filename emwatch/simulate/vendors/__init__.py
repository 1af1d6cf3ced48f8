"""
The file formats of the pretend microscope: one module per vendor and one line in the registry.

A vendor turns a `Shot` into files by name suffix, the frame itself first; a vendor with sidecars returns them after it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError
from emwatch.simulate.vendors import (
    fibics,
    generic,
    hitachi,
    jeol,
    olympus,
    orion,
    phenom,
    point_electronic,
    programs,
    sec,
    tescan,
    thermofisher,
    thermofisher_xml,
    xl30,
    zeiss,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.vendors.vendor import Vendor

#: Every vendor the pretend microscope can write, by the name given to ``--vendor``.
VENDORS: Final[Mapping[str, Vendor]] = MappingProxyType(
    {
        vendor.name: vendor
        for vendor in (
            zeiss.VENDOR,
            thermofisher.VENDOR,
            generic.VENDOR,
            thermofisher_xml.VENDOR,
            tescan.VENDOR,
            tescan.ESSENCE,
            tescan.SIDECAR,
            hitachi.VENDOR,
            hitachi.XP_TAGS,
            hitachi.SHIFT_JIS,
            jeol.VENDOR,
            jeol.TEXT_BESIDE_TIFF,
            jeol.TEXT_BESIDE_BMP,
            xl30.VENDOR,
            phenom.VENDOR,
            sec.VENDOR,
            olympus.VENDOR,
            orion.VENDOR,
            fibics.VENDOR,
            point_electronic.VENDOR,
            programs.FIBSEMOS,
            programs.OME_TIFF,
            programs.IMAGEJ,
        )
    }
)

#: What ``mixed`` changes between: the common makers, one of them with a text file beside each frame, and an export that
#: states nothing.
COMMON: Final = ("zeiss", "thermofisher", "tescan", "jeol", "hitachi", "generic")


def vendor_named(name: str) -> Vendor:
    """Return a vendor; raises `EmwatchError` naming the known ones."""
    if name not in VENDORS:
        raise EmwatchError(f"unknown vendor {name!r}: choose one of {', '.join(VENDORS)}")
    return VENDORS[name]
