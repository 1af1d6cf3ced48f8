"""What people enter into the log by command: written here, or handed to the daemon that has the ledger."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from emwatch.cli.exclusive import exclusive_ledger
from emwatch.cli.terminal.display import tell_event, tell_warning
from emwatch.clock import SystemClock
from emwatch.errors import EmwatchError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from emwatch.config import Config
    from emwatch.ledger.entries import Entry
    from emwatch.ledger.query import LedgerReader, SessionRow


def enter(config: Config, entry: Entry, what: str) -> bool:
    """
    Write an entry. Returns whether it is recorded: else it waits beside the ledger for the process that has it.

    Raises `EmwatchError` if it contradicts what is recorded, or cannot be written.
    """
    from emwatch.service.entry_inbox import entry_inbox, hand_over
    from emwatch.service.inbox import is_done
    from emwatch.service.lock import holder

    path = config.ledger.path
    if holder(path) is None:
        with exclusive_ledger(config, what=what) as ledger:
            entry_inbox(ledger, tell_event).empty()  # what waited for a daemon is older
            ledger.enter(entry)
        return True
    return is_done(hand_over(path, entry, SystemClock().now()))


def tell_waiting() -> None:
    """Print on stderr that an entry is not recorded yet."""
    click.echo("this waits beside the ledger: emwatch, which has it now, records it when it comes to it", err=True)


def writer_name(by: str | None) -> str:
    """Return who writes: the name that was given, or the login name. Raises a usage error without either."""
    if by and by.strip():
        return by.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:  # no name for this number
        raise click.UsageError("this user has no login name: say --by NAME") from error


def the_session(reader: LedgerReader, which: str) -> SessionRow:
    """Return the one session with this name or number, or the ``last``. Raises `EmwatchError` if there is none, or several."""
    found = reader.session(which, SystemClock().now())
    if len(found) == 1:
        return found[0]
    if not found:
        last = "; ".join(f"{each.id} = {each.name}" for each in reader.sessions(5))
        raise EmwatchError(
            f"there is no session {which!r}; {f'the last are {last}' if last else 'there is none at all'}"
        )
    raise EmwatchError(f"{len(found)} sessions are called {which!r}: name one by its number: {_numbers(found)}")


def tell_namesakes(config: Config, name: str, *, number: int | None = None, started_at: datetime | None = None) -> None:
    """
    Warn if other sessions have the name that a session was given: each is found by its number alone from now on.

    The session is the one with the ``number``, or the one that was started at ``started_at``, which may not be recorded
    yet. Nothing is refused: samples, and the folders of sessions, come again.
    """
    from emwatch.ledger.query import LedgerReader

    try:
        with LedgerReader(config.ledger.path) as reader:
            found = reader.session(name, SystemClock().now())
    except LedgerError:  # a daemon has just begun, and its ledger is not there yet: the session is entered all the same
        return
    number = next((each.id for each in found if each.started_at == started_at), number)
    if others := [each for each in found if each.id != number]:
        own = "`emwatch session list` shows that of this one" if number is None else f"this one is {number}"
        tell_warning(f"another session is called {name!r}: {_numbers(others)}; name each by its number: {own}")


def _numbers(found: Sequence[SessionRow]) -> str:
    return ", ".join(f"{each.id} ({each.started_at.astimezone():%Y-%m-%d %H:%M})" for each in found)
