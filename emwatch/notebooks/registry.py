"""The notebooks that emwatch can write to. A new one is one module, and one line in `NOTEBOOKS` and in `ADDRESSES`."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from emwatch.errors import ConfigError, EmwatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The module of each kind; it has ``connect(url, token)``, which returns a `Notebook`.
NOTEBOOKS: Final = {"elabftw": "emwatch.notebooks.elabftw", "elog": "emwatch.notebooks.elog"}

#: What ``connect`` of each kind expects as an address.
ADDRESSES: Final = {
    "elabftw": "the server's API, https://HOST/api/v2",
    "elog": "the logbook, https://HOST:8080/LOGBOOK/?Type=Routine with the attributes that it asks for",
}

#: elogd takes a user and a password in its address as well, as ``unm`` and ``upwd``.
_SECRET: Final = re.compile(r"passw|pwd|token|secret|api.?key", re.IGNORECASE)


class NotebookError(EmwatchError):
    """The notebook refused an entry; trying again does not help."""


class NotebookAwayError(NotebookError):
    """The notebook does not answer; the entry can be posted later."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of an entry; posted again under the same name, it takes the place of the former one."""

    name: str
    content: bytes
    about: str


@dataclass(frozen=True, slots=True)
class NotebookEntry:
    """What is posted. ``key``: the same at every repetition; it stands in the entry, and finds it again."""

    key: str
    title: str
    body_html: str
    attachments: Sequence[Attachment] = ()


class Notebook(Protocol):
    """One notebook on one server."""

    def put(self, entry: NotebookEntry) -> str:
        """
        Write an entry, or bring the one with its key up to date. Returns its address.

        Raises `NotebookError`, or `NotebookAwayError` if the server does not answer.
        """


def connect(kind: str, url: str, token: str) -> Notebook:
    """Return a notebook by its kind. Raises `ConfigError` if its library is not installed, or for what cannot be right."""
    if not url:
        raise ConfigError(f"--notebook-url is missing: {ADDRESSES[kind]}")
    _check_url(kind, url)
    if not token:
        raise ConfigError(
            "the notebook's token is missing (elog: USER:PASSWORD): --token-file FILE, or EMWATCH_NOTEBOOK_TOKEN"
        )
    if not token.isprintable():  # libraries show a header that they cannot send
        raise ConfigError("the notebook's token has several lines, or characters that nobody types: expected one line")
    try:
        module = importlib.import_module(NOTEBOOKS[kind])
        made: Notebook = module.connect(url, token)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{kind} needs {error.name}: pip install 'emwatch[notebook]'") from error
    return made


def _check_url(kind: str, url: str) -> None:
    """Raise `ConfigError` for what is no address, and for one with a password: messages and waiting posts hold it."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and parts.hostname is not None and parts.port != 0
        names = [*parse_qs(parts.query, keep_blank_values=True)]
    except ValueError:  # its words may hold a part of a password
        is_one = False
    if not is_one:
        raise ConfigError(f"--notebook-url is no address: expected {ADDRESSES[kind]}")
    if "@" in parts.netloc or any(_SECRET.search(name) for name in names):
        raise ConfigError(
            "--notebook-url holds a user or password, which would stand in messages and beside the ledger: leave it out, and "
            "give --token-file FILE, or EMWATCH_NOTEBOOK_TOKEN"
        )
