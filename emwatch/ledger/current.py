"""What is current: single files, and how many there are of each kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Text, bindparam, func, select, text, type_coerce

from emwatch.frame import FrameState, path_to_text
from emwatch.ledger import row_values
from emwatch.ledger.schema import acquisition, frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from emwatch.frame import StatKey


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a file as it stands: enough for a sweep to decide whether to look into it."""

    stat_key: StatKey | None
    state: FrameState
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """What the ledger says of a file: enough to hold it against the file itself."""

    stat_key: StatKey | None
    state: FrameState
    sha256: str
    reason: str
    duplicate_of: int | None


_CURRENT: Final = frames.c.superseded_by.is_(None)

_STATES: Final = {str(state): state for state in FrameState}

#: As many paths as asked for in one statement that never changes.
_AT: Final = select(
    frames.c.path, frames.c.stat_key, frames.c.state, type_coerce(frames.c.retry_at, Text).label("retry_at")
).where(_CURRENT, frames.c.path.in_(select(func.json_each(bindparam("paths")).table_valued("value").c.value)))

_ACCOUNTS: Final = text(
    "SELECT path, stat_key, state, sha256, reason, duplicate_of FROM frames"
    " WHERE superseded_by IS NULL AND path IN (SELECT value FROM json_each(:paths))"
)
_BELOW: Final = text("SELECT count(*) FROM frames WHERE superseded_by IS NULL AND path >= :first AND path < :beyond")

#: The index answers for each path at once; rows that are as expected never leave SQLite.
_UNLIKE: Final = text(
    "SELECT given.key, of.stat_key, of.state, of.retry_at FROM json_each(:present) AS given"
    " LEFT JOIN frames AS of ON of.path = given.key AND of.superseded_by IS NULL"
    " WHERE of.stat_key IS NOT given.value OR of.retry_at IS NOT NULL"
)

_METADATA_AT: Final = (
    select(acquisition.c.vendor, acquisition.c.sidecar, acquisition.c.sidecar_cut)
    .join(frames, acquisition.c.frame_id == frames.c.id)
    .where(_CURRENT, frames.c.path == bindparam("path"))
)


def files_at(connection: Connection, paths: Iterable[Path]) -> dict[Path, Known]:
    """Return the current rows of some files; those without one are left out."""
    by_text = {row_values.path_text(path): path for path in paths}
    rows = connection.execute(_AT, {"paths": json.dumps(list(by_text))})
    return {by_text[path]: _known(stat_key, state, retry) for path, stat_key, state, retry in rows}


def unlike(connection: Connection, folder: Path, files: Mapping[str, StatKey]) -> dict[str, Known | None]:
    """Return those files of a folder, by name, of which a row is missing (``None``), differs, or waits for another try."""
    names = _by_text(folder, files)
    present = {written: row_values.stat_key_text(files[name]) for written, name in names.items()}
    rows = connection.execute(_UNLIKE, {"present": json.dumps(present, ensure_ascii=False)})
    return {
        names[path]: None if state is None else _known(stat_key, state, retry) for path, stat_key, state, retry in rows
    }


def accounts(connection: Connection, folder: Path, names: Iterable[str]) -> dict[str, Account]:
    """Return what is recorded of the files of a folder, by name; files without a row are left out."""
    by_text = _by_text(folder, names)
    rows = connection.execute(_ACCOUNTS, {"paths": json.dumps(list(by_text), ensure_ascii=False)})
    return {
        by_text[path]: Account(row_values.stat_key_from(stat_key), _STATES[state], *rest)
        for path, stat_key, state, *rest in rows
    }


def rows_below(connection: Connection, folder: Path) -> int:
    """Count the current rows of files in a folder and below it."""
    first, beyond = _range_below(folder)
    return int(connection.execute(_BELOW, {"first": first, "beyond": beyond}).scalar() or 0)


def _by_text(folder: Path, names: Iterable[str]) -> dict[str, str]:
    before = _text_before(folder)
    return {before + path_to_text(name): name for name in names}


def _range_below(folder: Path) -> tuple[str, str]:
    """Return two texts between which all paths below a folder sort, and no others."""
    first = _text_before(folder)
    return first, first[:-1] + chr(ord(first[-1]) + 1)


def _text_before(folder: Path) -> str:
    """Return what the paths of a folder's files begin with, separator and all."""
    return row_values.path_text(folder / "x")[:-1]


def _known(stat_key: str | None, state: str, retry_at: str | None) -> Known:
    retry = None if retry_at is None else datetime.fromisoformat(retry_at)
    return Known(row_values.stat_key_from(stat_key), _STATES[state], retry)


def any_below(connection: Connection, root: Path) -> bool:
    """Return whether there is a row of any file in a directory."""
    first, beyond = _range_below(root)
    below = select(frames.c.id).where(frames.c.path > first, frames.c.path < beyond)
    return connection.execute(below.limit(1)).first() is not None


def wants_sidecar(connection: Connection, path: Path, sidecar: Path, key: StatKey) -> bool:
    """
    Return whether a recorded frame is to be read again because of a text file beside it.

    It is if no vendor's metadata are known, if only a part of a sidecar was read, or if this file was read and has
    changed since.
    """
    row = connection.execute(_METADATA_AT, {"path": row_values.path_text(path)}).one_or_none()
    if row is None:
        return False
    known = row.sidecar is not None and row.sidecar["name"] == sidecar.name
    changed = known and (row.sidecar["size"], row.sidecar["mtime_ns"]) != (key.size, key.mtime_ns)
    return changed or row.vendor is None or bool(row.sidecar_cut)
