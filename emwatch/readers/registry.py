"""The vendors that emwatch reads, in the order in which they are asked. A new one is one module and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.frame import AcquisitionMetadata
from emwatch.readers import tiff
from emwatch.readers.checks import disagreements, only_possible, with_context
from emwatch.readers.vendors import (
    fibics,
    fibsem_os,
    hitachi,
    imagej,
    jeol,
    olympus_sis,
    ome,
    orion,
    phenom,
    philips_xl,
    point_electronic,
    sec,
    tescan,
    thermofisher,
    zeiss,
)

if TYPE_CHECKING:
    from emwatch.readers.raw_frame import RawFrame, VendorReader

#: Those known by a tag of their own first, then those known by a sidecar, then what programs write that are no microscope's.
READERS: Final[tuple[VendorReader, ...]] = (
    zeiss.READER,
    thermofisher.READER,
    philips_xl.READER,
    phenom.READER,
    orion.READER,
    fibics.READER,
    point_electronic.READER,
    olympus_sis.READER,
    fibsem_os.READER,
    tescan.READER,
    jeol.READER,
    hitachi.READER,
    sec.READER,
    ome.READER,
    imagej.READER,
)


def read_header(frame: RawFrame) -> tuple[AcquisitionMetadata, float | None]:
    """
    Read a frame's metadata with the first reader that recognises it; without vendor and readings if none does.

    Returns also the length in nm that the header gives for the scale bar in the picture.
    """
    reader = next((reader for reader in READERS if reader.recognises(frame)), None)
    pages = _pages_flag(frame)
    if reader is None:
        return AcquisitionMetadata(flags=pages), None
    findings = reader.read(frame)
    readings = only_possible(findings.readings)
    doubts = disagreements(
        readings, frame.width, display_width_mm=findings.display_width_mm, modified_s=frame.modified_s
    )
    readings = with_context(readings)
    flags = (*findings.flags, *doubts, *pages)
    return AcquisitionMetadata(reader.vendor, readings, flags, findings.sidecar), findings.scale_bar_nm


def _pages_flag(frame: RawFrame) -> tuple[str, ...]:
    """Flag a TIFF with several pictures, such as one a detector signal: only the first is read."""
    size = (frame.width, frame.height)
    alike = sum((page.number(tiff.WIDTH), page.number(tiff.HEIGHT)) == size for page in frame.pages)
    return (f"{alike} pages of the same size: only the first is read",) if alike > 1 else ()
