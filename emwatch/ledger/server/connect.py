"""The connection to a server, and what its errors mean."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, StatementError
from sqlalchemy.pool import NullPool

from emwatch.errors import AlertError, LedgerError
from emwatch.ledger.schema import REVISION
from emwatch.ledger.server.address import server_name
from emwatch.ledger.server.tables import make_tables, revision_there, tables_of_others
from emwatch.ledger.sqlite_file import LedgerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine, Pool

#: A server that does not answer is given up after so long: nothing waits for it but the handover itself.
_CONNECTING_S: Final = 10
_NO_ANSWER_MS: Final = 20_000
_LONGEST_STATEMENT_MS: Final = 120_000
_NO_DRIVER: Final = "the ledger's server needs psycopg, which is not installed: pip install 'emwatch[postgres]'"
_NO_ADDRESS: Final = (
    "{}: ledger.server is no address that can be used: postgresql+psycopg://USER@HOST:PORT/DATABASE?OPTIONS"
)
_RIGHTS: Final = "the user may not write there: give it the rights as `emwatch docs many-microscopes` says"
_READERS_RIGHTS: Final = (
    "the user may not read that: give it the rights of a reader as `emwatch docs many-microscopes` says"
)
_NO_RIGHT: Final = "42501"
_REFUSED: Final = (
    "the server refuses this user: look at ledger.server_password (for another address: ~/.pgpass, PGPASSWORD) and at "
    "pg_hba.conf of the server"
)
#: Classes of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html) and what to do.
_ADVICE: Final = (
    ("28", _REFUSED),
    ("3D000", "there is no such database: make it as `emwatch docs many-microscopes` says, or correct ledger.server"),
    (_NO_RIGHT, _RIGHTS),
    ("25006", "the server takes no changes: it is a standby, or read-only: name the primary in ledger.server"),
    ("53100", "the disk of the server is full: make room there"),
)
#: A refused connection has no SQLSTATE: libpq only passes words on.
_SAID: Final = (
    (r"password authentication failed|no password supplied|pg_hba\.conf|role .* does not exist", "28"),
    (r"database .* does not exist", "3D000"),
    (r"permission denied", _NO_RIGHT),
)
_AWAY: Final = ("08", "53", "57", "40", "55")


@dataclass(frozen=True, slots=True)
class Server:
    """
    A server with the ledgers of many microscopes.

    Attributes:
        url: ``postgresql+psycopg://user@host/database``, without a password.
        password: returns it at each connection, "" if libpq finds it itself (.pgpass); may raise `AlertError`.

    """

    url: str
    password: Callable[[], str] = str

    @property
    def name(self) -> str:
        """The server as messages name it."""
        return server_name(self.url)

    def engine(self, pool: type[Pool] = NullPool) -> Engine:
        """
        Return an engine; by default it makes a connection each time it is asked for one. Each reads the password anew.

        Raises:
            LedgerError: there is no driver, or the address makes no sense to it.

        """
        try:
            url = make_url(self.url).set(drivername="postgresql+psycopg")
        except (ArgumentError, ValueError) as error:
            raise LedgerError(_NO_ADDRESS.format(self.name)) from error
        more = url.query.get("options", "")
        url = url.difference_update_query(["options"]).update_query_dict(
            {"application_name": url.query.get("application_name", "emwatch")}
        )
        options = {
            "connect_timeout": _CONNECTING_S,
            "tcp_user_timeout": _NO_ANSWER_MS,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "client_encoding": "utf8",
            "options": f"-c statement_timeout={_LONGEST_STATEMENT_MS} {more}".rstrip(),
        }
        try:
            engine = create_engine(url, poolclass=pool, connect_args=options, hide_parameters=True, pool_pre_ping=True)
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise LedgerError(_NO_DRIVER) from error
        except (
            ArgumentError,
            ValueError,
        ) as error:  # ports in the options that are no numbers, or not as many as hosts
            raise LedgerError(_NO_ADDRESS.format(self.name)) from error
        event.listen(engine, "do_connect", self._give_password)
        return engine

    def _give_password(self, _dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        try:
            secret = self.password()
        except AlertError as error:
            raise LedgerError(f"ledger.server_password: {error}") from error
        if secret:
            options["password"] = secret

    def probe(self) -> str:
        """
        Return what a handover would find: the release of the server and of its tables. Nothing is changed.

        Raises:
            LedgerError: it could not hand over.

        """
        with self.errors(), self.engine().connect() as connection:
            release = connection.scalar(text("SHOW server_version"))
            revision = revision_there(connection)
            _fits(self.name, revision)
            _check_database(self.name, connection)
            if revision is None:
                rights = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
            else:
                rights = "SELECT has_table_privilege('frames', 'INSERT, DELETE')"
            if not connection.scalar(text(rights)):
                raise LedgerError(f"{self.name}: {_RIGHTS}")
        return f"{self.name}: PostgreSQL {release}, " + (
            "no tables yet" if revision is None else f"revision {revision}"
        )

    @contextmanager
    def errors(self, *, reading: bool = False) -> Iterator[None]:
        """Turn the driver's errors into `LedgerError`: which server, what happened, what to do."""
        try:
            yield
        except DBAPIError as error:
            raise explained(self.name, error, reading=reading) from error
        except StatementError as error:
            raise (error.orig or error) from error

    @contextmanager
    def writing(self, engine: Engine | None = None) -> Iterator[Connection]:
        """
        Yield a connection for transactions that write, with all tables there; ``engine``: made before.

        Raises:
            LedgerError: it cannot be used; `LedgerUnavailableError` if trying again helps.

        """
        with self.errors(), (engine or self.engine()).connect() as connection:
            with connection.begin():
                if not _fits(self.name, revision_there(connection)):
                    _check_database(self.name, connection)
                    make_tables(connection)
            yield connection

    @contextmanager
    def reading(self, engine: Engine | None = None) -> Iterator[Connection]:
        """Yield a connection for questions about one moment; ``engine``: made before. Raises `LedgerError`."""
        with self.errors(reading=True), (engine or self.engine()).connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            revision = revision_there(connection)
            if not _fits(self.name, revision):
                raise LedgerError(
                    f"{self.name}: no ledger was handed over to this server yet: write it as `ledger.server` and start "
                    "`emwatch run`"
                    if revision is None
                    else f"{self.name}: its tables are of an older emwatch (revision {revision}, needed {REVISION}): an "
                    "`emwatch run` that hands over to it brings them up to date"
                )
            yield connection


def _fits(name: str, revision: str | None) -> bool:
    """Return whether tables of this revision are those of this program. Raises `LedgerError` for newer ones."""
    if revision is not None and revision > REVISION:
        raise LedgerError(
            f"{name}: its tables are of a newer emwatch (revision {revision}, this program knows {REVISION}): upgrade "
            "emwatch here; frames are recorded in the local ledger until then"
        )
    return revision == REVISION


def _check_database(name: str, connection: Connection) -> None:
    """Raise `LedgerError` for a database that cannot hold every name of a file, or has such tables of another program."""
    if (found := connection.scalar(text("SHOW server_encoding"))) != "UTF8":
        raise LedgerError(f"{name}: the database is in {found}: make one with ENCODING 'UTF8' TEMPLATE template0")
    if others := tables_of_others(connection):
        raise LedgerError(
            f"{name}: the database holds tables of another program ({', '.join(others)}): make one for emwatch alone, as "
            "`emwatch docs many-microscopes` says"
        )


def explained(name: str, error: DBAPIError, *, reading: bool = False) -> LedgerError:
    """Turn an error of the driver into ours. It holds neither values nor the password."""
    said = " ".join(str(error.orig).split("\n")[0].split()) or type(error.orig).__name__
    state = getattr(error.orig, "sqlstate", None) or next((code for words, code in _SAID if re.search(words, said)), "")
    advice = next((words for code, words in _ADVICE if state.startswith(code)), "")
    if reading and state == _NO_RIGHT:
        advice = _READERS_RIGHTS
    if advice:
        return LedgerError(f"{name}: {said}: {advice}")
    if not state or state.startswith(_AWAY) or error.connection_invalidated:
        return LedgerUnavailableError(f"{name}: the server does not answer ({said})")
    return LedgerError(f"{name}: {said}")
