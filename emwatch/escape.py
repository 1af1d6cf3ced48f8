"""Text of unknown origin made safe to show: file names, and what other programs say."""

from __future__ import annotations

import json
import re
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


#: Beyond printing ASCII; json has escaped what lies before it.
_NOT_ASCII: Final = re.compile("[\x7f-\U0010ffff]+")


def escaped_json(text: str) -> str:
    r"""
    Escape in a JSON document, as JSON does, what a terminal would obey and what ends a line elsewhere: ``\u009b``.

    The document means the same as before. Lone surrogates stay as they are.
    """
    return _NOT_ASCII.sub(lambda run: run[0] if run[0].isprintable() else "".join(map(_as_json, run[0])), text)


def _as_json(char: str) -> str:
    if unicodedata.category(char) not in _STEERING or unicodedata.category(char) == "Cs":
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else json.dumps(char)[1:-1]
