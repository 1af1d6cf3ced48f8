"""The text files that instruments write beside a frame: found by name, decoded whatever their encoding, judged by content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.frame import SIDECAR_CUT
from emwatch.readers.field_table import CUT, whole_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emwatch.readers.raw_frame import RawFrame

_MARKS: Final = (
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xef\xbb\xbf", "utf-8"),
)


def find_sidecar(
    frame: RawFrame, names: Iterable[str], legacy: str, is_ours: Callable[[str], bool]
) -> tuple[str, str] | None:
    """
    Give name and text of the first file of these names that ``is_ours`` accepts by its content.

    Each name is also tried with its last suffix in capitals. ``legacy`` is the encoding of text that is not Unicode.
    """
    for candidate in dict.fromkeys(variant for name in names for variant in (name, _in_capitals(name))):
        data = frame.sidecar(candidate)
        if data is not None and is_ours(text := decode_text(data, legacy)):
            return candidate, text
    return None


def cut_flags(name: str, content: str) -> tuple[str, ...]:
    """Flag a sidecar whose last line has no end."""
    return (f"sidecar {name} {SIDECAR_CUT}",) if whole_lines(content).endswith(CUT) else ()


def _in_capitals(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem + dot + suffix.upper()


def decode_text(data: bytes, legacy: str) -> str:
    """
    Decode text with or without a byte order mark: UTF-16, UTF-8, else ``legacy``; what does not fit becomes U+FFFD.

    UTF-16 without a mark is known by its zero bytes: every other one of ASCII text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    start = data[:200]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = start[first::2]
        if len(start) >= 8 and zeros.count(0) > 0.8 * len(zeros) and start[1 - first :: 2].count(0) < 0.2 * len(zeros):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(legacy, errors="replace")
