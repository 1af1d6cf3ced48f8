"""The vendors emwatch reads, in the order in which they are asked: a new one is one module and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.frame import AcquisitionMetadata
from emwatch.readers import thermofisher, zeiss

if TYPE_CHECKING:
    from emwatch.readers.raw_frame import RawFrame, VendorReader

READERS: Final[tuple[VendorReader, ...]] = (
    zeiss.READER,
    thermofisher.READER,
)


def read_metadata(frame: RawFrame) -> AcquisitionMetadata:
    """Read a frame's metadata with the first reader that recognises it; without vendor and readings where none does."""
    reader = next((reader for reader in READERS if reader.recognises(frame)), None)
    if reader is None:
        return AcquisitionMetadata()
    findings = reader.read(frame)
    return AcquisitionMetadata(reader.vendor, findings.readings, findings.flags)
