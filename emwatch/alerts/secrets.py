"""Removes secrets from the error output of an alert program, which is stored in the ledger and the log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HIDDEN: Final = "***"
#: The address of a web hook is its password: all behind the host, and who logs in before it.
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^\s/@]+@)?([^\s/?#@]*)([/?#][^\s\"'<>]*)?", re.IGNORECASE)
_SECRET_FOLLOWS: Final = re.compile(
    r"authori[sz]ation|bearer|token|secret|passw|pwd|credential|api.?key|^-*user$|^-u$", re.IGNORECASE
)
_SHORTEST: Final = 6  # anything shorter would be found in every other word


def hushed(said: str, arguments: Sequence[str]) -> str:
    """Return a program's output with the secrets of its arguments, and what follows the host of any URL, replaced."""
    said = _URL.sub(_only_the_host, said)
    for secret in sorted(set(_secrets(arguments)), key=len, reverse=True):
        said = said.replace(secret, HIDDEN)
    return said


def _only_the_host(found: re.Match[str]) -> str:
    scheme, host, rest = found.groups()
    return f"{scheme}{host}" if rest in (None, "/") else f"{scheme}{host}/{HIDDEN}"


def _secrets(arguments: Sequence[str]) -> Iterator[str]:
    before = ""
    for argument in arguments:
        for found in _URL.finditer(argument):
            rest = found[3] or ""
            yield from (each for each in (rest, *re.split(r"[/?#&=]", rest)) if len(each) >= _SHORTEST)
        if _SECRET_FOLLOWS.search(before) or _SECRET_FOLLOWS.search(argument):
            words = re.split(r"[\s=:&?,;]+", argument)
            yield from (each for each in words if len(each) >= _SHORTEST and not _SECRET_FOLLOWS.search(each))
        before = argument
