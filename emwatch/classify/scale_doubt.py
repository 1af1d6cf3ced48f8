"""
Doubt by scale: a category whose objects are hardly ever seen at a frame's field width.

The field widths at which each category is imaged were written down from the field's literature before anything was
measured. They never change a category: they only make a prediction uncertain.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from emwatch.frame import AcquisitionMetadata


class _Widths(NamedTuple):
    """Student's t of the decimal logarithm of the field width in µm."""

    centre_um: float
    decades: float


_USUAL: Final = MappingProxyType(
    {
        "Biological": _Widths(80, 0.8),
        "Fibres": _Widths(60, 0.65),
        "Films_Coated_Surface": _Widths(12, 0.75),
        "MEMS_devices_and_electrodes": _Widths(150, 0.8),
        "Nanowires": _Widths(5, 0.5),
        "Particles": _Widths(2.5, 0.55),
        "Patterned_surface": _Widths(7, 0.6),
        "Porous_Sponge": _Widths(40, 0.85),
        "Powder": _Widths(80, 0.7),
        "Tips": _Widths(20, 0.75),
    }
)
#: Field widths of scanning electron micrographs of anything.
_ANY: Final = _Widths(10**1.2, 1.0)
_DEGREES: Final = 4
_DEGREES_OF_ANY: Final = 6
#: So much of a category is imaged at any width.
_AT_ANY_WIDTH: Final = 0.1
#: In doubt if the width is so much less likely for the category than for any frame: natural logarithm.
_LEAST_LOG_RATIO: Final = -1.0
#: A field width and the one that follows from pixel size and number of pixels may differ by so much.
_AGREES_WITHIN: Final = 0.1


def is_implausible(category: str, field_width_um: float) -> bool:
    """Return whether a category is hardly ever imaged at this field width."""
    return _log_ratio(category, field_width_um) < _LEAST_LOG_RATIO


def field_width_um(metadata: AcquisitionMetadata, width_px: int) -> float | None:
    """
    Return the field width by which a category may be doubted; ``None`` if it is unknown or contradicts the pixel size.

    ``width_px``: of the picture. A width that contradicts itself is wrong by an unknown factor: nothing is doubted by it.
    """
    stated = metadata.number("horizontal_field_width_um")
    pixel_nm = metadata.number("pixel_size_nm")
    computed = None if pixel_nm is None or width_px <= 0 else pixel_nm * width_px / 1000
    if stated is None or not computed:  # 0 is in ledgers of before
        found = computed if stated is None else stated
    else:
        found = stated if abs(stated / computed - 1) <= _AGREES_WITHIN else None
    return found if found is not None and math.isfinite(found) and found > 0 else None


def doubt(category: str, width_um: float | None) -> str:
    """Return why a category is doubted at a field width, in a sentence for the operator; empty if it is not."""
    if width_um is None or category not in _USUAL or not is_implausible(category, width_um):
        return ""
    usual = _USUAL[category].centre_um
    return f"{category} is hardly ever imaged at a field width of {_text(width_um)} µm (usual is about {usual:g} µm)"


def doubted_at(width_um: float | None) -> tuple[str, ...]:
    """Return the categories that are hardly ever imaged at a field width; none if it is unknown."""
    return () if width_um is None else tuple(name for name in _USUAL if is_implausible(name, width_um))


def contradiction(metadata: AcquisitionMetadata, width_px: int) -> str:
    """Return how a field width contradicts the pixel size so far that nothing is doubted by it; empty if it does not."""
    stated, pixel_nm = (metadata.number(name) for name in ("horizontal_field_width_um", "pixel_size_nm"))
    if stated is None or pixel_nm is None or width_px <= 0 or field_width_um(metadata, width_px) is not None:
        return ""
    return (
        f"a field width of {_text(stated)} µm contradicts {width_px:,} pixels of {pixel_nm:.4g} nm "
        f"({_text(pixel_nm * width_px / 1000)} µm): no category is doubted by it"
    )


def _text(width_um: float) -> str:
    return f"{width_um:,.0f}" if width_um >= 100 else f"{width_um:.3g}"


def _log_ratio(category: str, width_um: float) -> float:
    x = math.log10(width_um)
    of_any = _student(x, _ANY, _DEGREES_OF_ANY)
    of_category = (1 - _AT_ANY_WIDTH) * _student(x, _USUAL[category], _DEGREES) + _AT_ANY_WIDTH * of_any
    return math.log(of_category / of_any)


def _student(x: float, widths: _Widths, degrees: int) -> float:
    """Return the density of Student's t distribution with a place and a scale."""
    z = (x - math.log10(widths.centre_um)) / widths.decades
    factor = math.gamma((degrees + 1) / 2) / (math.sqrt(degrees * math.pi) * math.gamma(degrees / 2))
    return factor / widths.decades * math.pow(1 + z * z / degrees, -(degrees + 1) / 2)
