"""
A ledger handed over to a server, batch by batch.

A batch is one transaction there, and what it held is forgotten here only afterwards. Whatever ends in between, a daemon,
the server, the network, leaves a batch that is sent again, and it changes nothing a second time.
"""

from __future__ import annotations

import platform
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Boolean, bindparam, delete, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from emwatch.errors import LedgerError
from emwatch.frame import path_to_text
from emwatch.ledger.column_types import instant
from emwatch.ledger.server import changes
from emwatch.ledger.server.tables import NUMBERS, OF_FRAMES, SHARED, SPAN, ledgers, session_words, there, words
from emwatch.ledger.words import vector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Engine, Row, Table

    from emwatch.ledger.server.changes import Batch, HandoverState
    from emwatch.ledger.server.connect import Server
    from emwatch.ledger.writer import Ledger

_BEFORE: Final = there("frames")
#: What people wrote about a row keeps it.
_WRITTEN_ABOUT: Final = or_(*(exists().where(there(name).c.frame_id == _BEFORE.c.id) for name in ("reviews", "notes")))
_REPLACED: Final = delete(_BEFORE).where(
    _BEFORE.c.ledger == bindparam("of_ledger"),
    _BEFORE.c.path == bindparam("of_path"),
    _BEFORE.c.sha256 == bindparam("of_sha256"),
    _BEFORE.c.id != bindparam("of_id"),
    ~_WRITTEN_ABOUT,
)


class Handover:
    """
    Hands the changes of one ledger over to one server; one thread calls it.

    ``news`` holds what an operator should know of it, until it is taken.
    """

    def __init__(self, ledger: Ledger, server: Server) -> None:
        self._ledger = ledger
        self._server = server
        self._engine: Engine | None = None
        self._run = str(uuid.uuid4())
        self._noted_for = ""  # the identity for which this start's mark is written down
        self.news: list[str] = []

    def hand_over(self, now: datetime) -> int:
        """
        Hand over what has changed, at most one batch; returns how many frames and sessions that were.

        Raises:
            LedgerError: the server, or the ledger, does not take it; nothing is lost, and the next call begins again.

        """
        batch = self._batch()
        if not batch.changed and self._noted_for == batch.state.identity:
            return 0
        with self._writing() as connection:
            if self._noted_for != batch.state.identity:
                with connection.begin():
                    registered = _registered(connection, batch.state, self._ledger, now)
                if not self._agree(batch.state, registered):
                    return self.hand_over(now)
                self._ledger.handover_changes(lambda here: changes.note_run(here, self._run, registered.run or ""))
                self._noted_for = batch.state.identity
                batch = self._batch()
            if not batch.changed:
                return 0
            batches = batch.state.batches + 1
            with connection.begin():
                registered = _registered(connection, batch.state, self._ledger, now)
                agreed = self._agree(batch.state, registered)
                if agreed:
                    _write(connection, batch, registered)
                    same = ledgers.c.number == registered.number
                    values = {"run": self._run, "batches": batches, "last_at": instant(now)}
                    connection.execute(update(ledgers).where(same).values(values))
        if not agreed:  # begun again only now: the transaction had the server's row for itself
            return self.hand_over(now)
        self._ledger.handover_changes(lambda here: changes.handed_over(here, batch, batches))
        return len(batch.changed)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a connection to write. What is known of the server is kept until an error: it may be another one then."""
        if self._engine is None:
            self._engine = self._server.engine()
        try:
            with self._server.writing(self._engine) as connection:
                yield connection
        except LedgerError:
            self._engine = None
            raise

    def _batch(self) -> Batch:
        batch = changes.next_batch(self._ledger.path)
        if batch is None:
            self._ledger.handover_changes(changes.begin)
            batch = changes.next_batch(self._ledger.path)
        if batch is None:
            raise LedgerError(f"{self._ledger.path}: its changes cannot be noted")
        return batch

    def _agree(self, here: HandoverState, there: Row[Any]) -> bool:
        """Return whether server and ledger know the same of each other; if not, it is put right in the ledger."""
        if there.batches < here.batches:
            self.news.append(
                f"{self._server.name}: the server holds less of this ledger than it was given, as after a restore: everything "
                "is handed over again"
            )
            self._ledger.handover_changes(lambda ledger: _again(ledger, there))
        elif there.batches <= here.batches + 1 and (there.run or "") in {here.run, here.run_before, self._run}:
            return True
        else:
            self.news.append(
                f"{self._server.name}: the server holds more of ledger {there.number} than this file knows: the file was "
                "copied, or restored from a backup. It is handed over as a ledger of its own, and its frames take the place "
                "of theirs; one about which people wrote stays there as well"
            )
            self._ledger.handover_changes(changes.become_another)
        self._noted_for = ""
        return False


def _again(connection: Connection, there: Row[Any]) -> None:
    """Begin again from what the server knows of a ledger."""
    changes.note_all(connection)
    changes.note_batches(connection, there.batches)
    changes.note_run(connection, there.run or "", there.run or "")


def _registered(connection: Connection, state: HandoverState, ledger: Ledger, now: datetime) -> Row[Any]:
    """Return the server's row of a ledger, which no other daemon can change until the end of the transaction."""
    of_it = select(ledgers).where(ledgers.c.identity == state.identity).with_for_update()
    found = connection.execute(of_it).one_or_none()
    if found is not None:
        return found
    host, path = platform.node(), path_to_text(ledger.path.absolute())
    earlier = or_(ledgers.c.identity.in_(state.follows), (ledgers.c.host == host) & (ledgers.c.path == path))
    follows = list(connection.scalars(select(ledgers.c.number).where(earlier).order_by(ledgers.c.number)))
    values = {"identity": state.identity, "host": host, "path": path, "follows": follows}
    at = {"first_at": instant(now), "last_at": instant(now)}
    connection.execute(insert(ledgers).values(values | at).on_conflict_do_nothing())
    return connection.execute(of_it).one()


def _write(connection: Connection, batch: Batch, of: Row[Any]) -> None:
    """Put what a batch holds in the place of what the server has of the same frames and sessions."""
    base = of.number * SPAN
    for name in SHARED:
        _add_shared(connection, there(name), batch.rows[name])
    for name in ("sessions", "frames"):
        here = [_numbered(row, base) for row in batch.rows[name]]
        gone = {base + each for each in batch.ids(name)} - {row["id"] for row in here}
        table = there(name)
        if gone:
            connection.execute(delete(table).where(table.c.id.in_(gone)))
        _put(connection, table, here)
    frames, sessions = ([base + each for each in batch.ids(name)] for name in ("frames", "sessions"))
    _replace_earlier(connection, batch, of)
    for name in OF_FRAMES:
        table = there(name)
        of_them: ColumnElement[bool] = table.c.frame_id.in_(frames)
        if name == "notes":
            of_them = or_(of_them, table.c.session_id.in_(sessions))
        connection.execute(delete(table).where(of_them))
        _add(connection, table, [_numbered(row, base) for row in batch.rows[name]])
    for table, name, number in ((words, "log_text", "frame_id"), (session_words, "log_text_sessions", "id")):
        rows = [{"rowid": base + row.pop(number), "words": vector(row.values())} for row in batch.rows[name]]
        _put(connection, table, rows)


def _numbered(row: dict[str, Any], base: int) -> dict[str, Any]:
    """Return a row with the numbers that the server gives it and what it names."""
    found = {name: base + value if name in NUMBERS and value is not None else value for name, value in row.items()}
    if found.get("is_indexed") is not None:
        found["is_indexed"] = True  # every index of the server holds every row
    return found


def _values(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a row as PostgreSQL takes them; what this program does not know of is left out."""
    return {
        each.name: bool(row[each.name])
        if isinstance(each.type, Boolean) and row[each.name] is not None
        else row[each.name]
        for each in table.columns
        if each.name in row
    }


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), [_values(table, row) for row in rows])


def _put(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or change those that are there."""
    if not rows:
        return
    add = insert(table)
    [key] = table.primary_key.columns
    changed = {name: add.excluded[name] for name in _values(table, rows[0]) if name != key.name}
    statement = add.on_conflict_do_update(index_elements=[key], set_=changed)
    connection.execute(statement, [_values(table, row) for row in rows])


def _add_shared(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Add what ledgers share, by its sha256; an older emwatch did not write names of bundles down."""
    if not rows:
        return
    add = insert(table)
    if "name" in table.c:
        statement = add.on_conflict_do_update(
            index_elements=["sha256"], set_={"name": add.excluded.name}, where=table.c.name == ""
        )
    else:
        statement = add.on_conflict_do_nothing()
    connection.execute(statement, [_values(table, row) for row in rows])


def _replace_earlier(connection: Connection, batch: Batch, of: Row[Any]) -> None:
    """Remove rows that are the same frames under other numbers: of a ledger that this one goes on with."""
    rows = [
        {
            "of_ledger": ledger,
            "of_path": row["path"],
            "of_sha256": row["sha256"],
            "of_id": of.number * SPAN + row["id"],
        }
        for ledger in of.follows
        for row in batch.rows["frames"]
    ]
    if rows:
        connection.execute(_REPLACED, rows)
