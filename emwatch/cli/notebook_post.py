"""Session reports on their way into a notebook: posted now, or kept until the notebook answers."""

from __future__ import annotations

import hashlib
import os
import platform
from typing import TYPE_CHECKING, Final

import click

from emwatch.cli.terminal.display import printable, tell_warning
from emwatch.errors import ConfigError
from emwatch.filesystem import real_path
from emwatch.foreign_file import read_bounded
from emwatch.frame import path_to_text
from emwatch.notebooks.registry import Attachment, NotebookAwayError, NotebookEntry, NotebookError, connect
from emwatch.notebooks.waiting import WaitingPost, WaitingPosts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.ledger.session_rows import SessionRow

TOKEN_VARIABLE: Final = "EMWATCH_NOTEBOOK_TOKEN"  # noqa: S105 - the name of the variable

_LONGEST_BYTES: Final = 65_536


def entry_of(
    config: Config, begun: datetime | None, session: SessionRow, body_html: str, files: dict[str, bytes]
) -> NotebookEntry:
    """
    Return the entry of a session; its key is that of this machine's ledger and the session's number.

    ``begun``: when the ledger was first used. Somebody may have deleted one and begun another under its name, whose sessions
    have the same numbers: their reports must not take the place of the earlier ones.
    """
    place = f"{platform.node()}|{real_path(config.ledger.path)}|{begun and begun.isoformat()}|{session.id}"
    key = f"emwatch-{hashlib.sha256(os.fsencode(place)).hexdigest()[:12]}"
    attached = tuple(Attachment(each, content, "made by emwatch") for each, content in files.items())
    return NotebookEntry(key, f"SEM session {printable(session.name)}", body_html, attached)


def post(
    config: Config, kind: str, url: str, token: str, session_id: int, make: Callable[[int], NotebookEntry | None]
) -> None:
    """
    Post a session, and before it what waits for the same notebook.

    ``make`` returns the entry of a session by its number, ``None`` if the session is gone. Raises `NotebookError`; if the
    notebook does not answer, the session waits in a file beside the ledger. One that waited and is refused holds up no other.
    """
    notebook = connect(kind, url, token)
    waiting = WaitingPosts(config.ledger.path)
    wanted = WaitingPost(kind, url, session_id)
    others = [each for each in waiting.all() if each[:2] == wanted[:2] and each != wanted]
    for each in (*others, wanted):
        entry = make(each.session_id)
        if entry is None:
            waiting.remove(each)
            continue
        try:
            address = notebook.put(entry)
        except NotebookAwayError as error:
            waiting.add(wanted)
            raise NotebookError(
                f"{error}; session {session_id} waits in {os.fspath(waiting.path)} and goes with the next --post"
            ) from error
        except NotebookError as error:
            if each == wanted:
                waiting.remove(each)
                raise
            tell_warning(
                f"session {each.session_id}, which waited, is refused: {printable(str(error))}; it goes on waiting, until "
                f"`emwatch report {each.session_id} --post {kind}` is posted or refused by itself"
            )
            continue
        waiting.remove(each)
        click.echo(f"posted: session {each.session_id} at {printable(address)}", err=True)


def token_from(file: Path | None) -> str:
    """Return the notebook's token from a file or the environment, empty without one. Raises `ConfigError`."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    try:
        return read_bounded(file, _LONGEST_BYTES).decode("utf-8").strip()
    except UnicodeDecodeError as error:  # its words hold a part of the token
        raise ConfigError(f"--token-file: {path_to_text(file)} cannot be read: it is not UTF-8") from error
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"--token-file: {path_to_text(file)} cannot be read: {said}") from error
