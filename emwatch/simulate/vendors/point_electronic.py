"""
point electronic DISS frames, as of a retrofitted Philips XL40: 8-bit grey TIFF, one page a signal, XMP in tag 700.

Built from descriptions of the format (see `emwatch.readers.vendors.point_electronic`); no file was at hand. Two traps of
the real files are kept: the unit of the tilt is wrong (the number is degrees), and each signal is a page of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.simulate.tiff import TagType, WrittenPage, WrittenTag, encode_tiff
from emwatch.simulate.vendors.vendor import Vendor, eight_bit, everything_but
from emwatch.simulate.vendors.xml_text import branch, leaf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.simulate.acquisition import Shot

_SIGNALS: Final = ("SE", "BSE")
_NAMESPACE: Final = {"xmlns_rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "xmlns_pe": "urn:point-electronic"}


def header(shot: Shot) -> str:
    """Return the XMP packet of tag 700."""
    acquisition = shot.acquisition
    pixel_m = repr(acquisition.pixel_size_nm * 1e-9)
    others = [name for name in _SIGNALS if name != acquisition.detector]
    images = [branch("rdf:li", leaf("pe:SignalName", name)) for name in (acquisition.detector, *others)]
    root = branch(
        "rdf:RDF",
        branch(
            "rdf:Description",
            leaf("pe:PixelSizeX", pixel_m),
            leaf("pe:PixelSizeY", pixel_m),
            leaf("pe:ScanName", "Photo"),
            branch("pe:Images", branch("rdf:Seq", *images)),
        ),
        branch(
            "rdf:Description",
            _quantity("WD", f"{acquisition.working_distance_mm:g}", "mm"),
            _quantity("HV", f"{acquisition.accelerating_voltage_kv:g}", "kV"),
            leaf("pe:Mag", f"{acquisition.magnification:g}"),
        ),
        branch(
            "rdf:Description",
            _quantity("X", f"{acquisition.stage_x_mm:g}", "mm"),
            _quantity("Y", f"{acquisition.stage_y_mm:g}", "mm"),
            _quantity("Z", f"{acquisition.stage_z_mm:g}", "mm"),
            _quantity("S", "0", "mm"),
            _quantity("Tilt", f"{acquisition.stage_tilt_deg:g}", "mm"),
            _quantity("Rotation", f"{acquisition.stage_rotation_deg:g}", "deg"),
        ),
        branch("rdf:Description", branch("pe:description", branch("rdf:Alt", leaf("rdf:li", acquisition.sample)))),
        **_NAMESPACE,
    )
    return f'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{root}\n<?xpacket end="w"?>'


def _quantity(name: str, value: str, unit: str) -> str:
    return branch(f"pe:{name}", leaf("pe:value", value), leaf("pe:Unit", unit))


def _files(shot: Shot) -> Mapping[str, bytes]:
    pixels = eight_bit(shot)
    tags = (
        WrittenTag(305, TagType.ASCII, b"point electronic DISS 5.13\0"),
        WrittenTag(700, TagType.BYTE, header(shot).encode()),
    )
    return {".tif": encode_tiff([WrittenPage(pixels, tags=tags), WrittenPage(255 - pixels, tags=tags[:1])])}


VENDOR: Final = Vendor(
    name="point-electronic",
    reference_width_mm=120.0,
    instruments=(("XL40", "1"),),
    detectors=_SIGNALS,
    bars=("none", "overlay-box"),
    files=_files,
    tells=everything_but("acquired_at"),
)
