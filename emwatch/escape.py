"""Text of unknown origin made safe to show: file names, and what other programs say."""

from __future__ import annotations

import unicodedata
from typing import Final

#: Characters that steer a terminal or hide text: control, format (also right-to-left marks), lone surrogates, line ends.
_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def escaped(text: str) -> str:
    r"""Escape what a terminal would obey instead of show: an ESC in a file name becomes ``\x1b``, a newline ``\n``."""
    return text if text.isascii() and text.isprintable() else "".join(_escaped(char) for char in text)


def _escaped(char: str) -> str:
    if unicodedata.category(char) not in _STEERING:
        return char
    if 0xDC80 <= ord(char) <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", errors="surrogatepass").decode("ascii")
