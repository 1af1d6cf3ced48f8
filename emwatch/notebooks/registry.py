"""The notebooks that emwatch can write to. A new one is one module, and one line in `NOTEBOOKS` and in `ADDRESSES`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

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
    """Return a notebook by its kind. Raises `ConfigError` if its library is not installed, or if something is missing."""
    if not url:
        raise ConfigError(f"--notebook-url is missing: {ADDRESSES[kind]}")
    if not token:
        raise ConfigError(
            "the notebook's token is missing (elog: USER:PASSWORD): --token-file FILE, or EMWATCH_NOTEBOOK_TOKEN"
        )
    try:
        module = importlib.import_module(NOTEBOOKS[kind])
        made: Notebook = module.connect(url, token)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{kind} needs {error.name}: pip install 'emwatch[notebook]'") from error
    return made
