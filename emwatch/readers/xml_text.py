"""XML as instruments write it: never an error, and never expanded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def parse_xml(raw: bytes, source: str) -> tuple[Element | None, tuple[str, ...]]:
    """
    Parse a block of XML; damage gives no root and a flag that names the ``source``.

    A document type is refused: its entities can grow without bound.
    """
    raw = raw.strip(b"\x00 \r\n\t")
    if b"\x00" in raw:  # UTF-16, which no instrument writes, would hide a document type from the next line
        return None, (f"{source} is damaged: zero bytes within",)
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        return None, (f"{source} has a document type, which is not read",)
    from xml.etree import ElementTree as ET  # few instruments write it; the child starts faster without.

    try:
        return ET.fromstring(raw), ()  # noqa: S314 - no document type, so no entities to expand.
    except (ET.ParseError, ValueError, LookupError) as error:
        return None, (f"{source} is damaged: {str(error)[:100]}",)
