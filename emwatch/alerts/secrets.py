"""Secrets of channels: where they are read from, and how they are kept out of messages, which go to the ledger and the log."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, model_validator

from emwatch.errors import AlertError
from emwatch.foreign_file import read_bounded
from emwatch.settings import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HIDDEN: Final = "***"
#: The address of a web hook is its password: all behind the host, and who logs in before it.
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^\s/@]+@)?([^\s/?#@]*)([/?#][^\s\"'<>]*)?", re.IGNORECASE)
_SECRET_FOLLOWS: Final = re.compile(
    r"authori[sz]ation|bearer|token|secret|passw|pwd|credential|api.?key|^-*user$|^-u$", re.IGNORECASE
)
_SHORTEST: Final = 6  # anything shorter would be found in every other word

_LONGEST_BYTES: Final = 65_536


class Secret(Section):
    """
    Where a secret is read from, each time it is used: exactly one of three places.

    Attributes:
        env: a variable of the environment.
        file: a file; blanks around its content do not count.
        credential: a credential of systemd (``LoadCredential=``, systemd.exec(5)).

    """

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: Path | None = None
    credential: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Secret:
        if sum(each is not None for each in (self.env, self.file, self.credential)) != 1:
            raise ValueError("write one of `env: VARIABLE`, `file: PATH` and `credential: NAME`")
        return self

    def read(self) -> str:
        """
        Return the secret.

        Raises:
            AlertError: it is not there, is empty, or cannot be read; the message holds the place and not the secret.

        """
        place, found = self._read()
        if not found.strip():
            raise AlertError(f"{place}: the secret is empty or not there")
        return found.strip()

    def trouble(self) -> str:
        """Return why the secret cannot be read now, "" if it can."""
        try:
            self.read()
        except AlertError as error:
            return str(error)
        return ""

    def _read(self) -> tuple[str, str]:
        if self.env is not None:
            return f"variable {self.env}", os.environ.get(self.env, "")
        path = self.file
        if path is None:
            folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
            if not folder:
                raise AlertError(f"credential {self.credential}: systemd has passed none (LoadCredential= in the unit)")
            path = Path(folder) / str(self.credential)
        try:
            return str(path), read_bounded(path, _LONGEST_BYTES).decode("utf-8")
        except UnicodeDecodeError as error:  # its message would hold the secret
            raise AlertError(f"{path}: the secret cannot be read: is no UTF-8 text") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise AlertError(f"{path}: the secret cannot be read: {reason}") from error


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
