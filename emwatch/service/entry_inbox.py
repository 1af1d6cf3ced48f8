"""Sessions and notes that people enter while the daemon runs: as a request beside the ledger; see `emwatch.service.inbox`."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from emwatch.ledger.entries import Entry, EntryError, Note, SessionChange, SessionEnd, SessionStart
from emwatch.service.inbox import Inbox, leave, moment, row_number, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.ingest.events import Event
    from emwatch.ledger.writer import Ledger

_KINDS: Final[dict[str, type[Entry]]] = {
    "start": SessionStart,
    "end": SessionEnd,
    "change": SessionChange,
    "note": Note,
}
LONGEST_NAME: Final = 200


def hand_over(ledger: Path, entry: Entry, now: datetime) -> Path:
    """Leave an entry for the daemon. Returns its file, which goes when it is recorded. Raises `EmwatchError`."""
    kind = next(name for name, made in _KINDS.items() if isinstance(entry, made))
    values = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(entry).items()
    }
    return leave(_folder(ledger), {"do": kind, **values}, now)


def entry_inbox(ledger: Ledger, tell: Callable[[Event], None]) -> Inbox:
    """Return what records the entries that wait."""

    def take(document: Any) -> None:
        try:
            ledger.enter(_entry(document))
        except EntryError as error:
            raise ValueError(str(error)) from error

    return Inbox(_folder(ledger.path), take, tell)


def check_name(name: str) -> None:
    """Raise `ValueError` for a name of a session that could not be told from others, or not be printed."""
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError(f"{name[:40]!r}: a session's name has 1 to {LONGEST_NAME} printable characters")
    if name == "last" or (name.isascii() and name.isdecimal()):
        raise ValueError(f"{name!r} means another session: a name is not a number, and not `last`")


def _folder(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.entries")


def _entry(document: Any) -> Entry:
    """Return the entry of a request. Raises `ValueError`, `KeyError`, `TypeError` or `AttributeError` for anything else."""
    values = dict(document)
    kind = _KINDS[values.pop("do")]
    for field in fields(kind):
        if field.name in values:
            values[field.name] = _checked(field.name, values[field.name])
    entry = kind(**values)
    if isinstance(entry, (SessionStart, SessionChange)) and entry.name is not None:
        check_name(entry.name)
    if (
        isinstance(entry, Note)
        and sum(each is not None for each in (entry.frame_id, entry.session_id, entry.replaces)) != 1
    ):
        raise ValueError("a note is about one thing: frame_id, session_id or replaces")
    return entry


def _checked(name: str, value: Any) -> Any:
    if name.endswith("_at"):
        return moment(name, value)
    if value is None:
        return None
    return (row_number if name.endswith("_id") or name == "replaces" else text)(name, value)
