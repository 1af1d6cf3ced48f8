"""Bringing an older or empty ledger to the present tables: a copy first, then one transaction."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError
from emwatch.ledger.database import driver_of, revision_of
from emwatch.ledger.file_lock import make_private
from emwatch.ledger.schema import REVISION

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

#: An older program gave some up for good that a newer one reads: dead readers, black rows, makers it did not know.
_TRY_FAILED_AGAIN: Final = (
    "UPDATE frames SET retry_at = recorded_at WHERE state = 'failed' AND superseded_by IS NULL AND retry_at IS NULL"
)
MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"


def bring_up_to_date(
    connection: Connection, path: Path, now: datetime, *, migrations: Path = MIGRATIONS, revision: str = REVISION
) -> Path | None:
    """
    Migrate the ledger if it is not at ``revision``. Returns the copy made before, if there was content.

    Alembic is only imported when there is something to do: it costs 0.25 s and 20 MB that a restart does not have.

    Raises:
        LedgerError: the file is not a ledger, or newer than this program, or cannot be copied.

    """
    with connection.begin():
        found = revision_of(connection, path)
    if found == revision:
        return None
    copy = _copied(driver_of(connection), path, found, now) if found is not None else None
    migrate(connection, migrations, revision)
    return copy


def _copied(source: sqlite3.Connection, path: Path, revision: str, now: datetime) -> Path:
    copy = path.with_name(f"{path.name}.revision-{revision}-{now:%Y%m%dT%H%M%S%z}")
    unfinished = copy.with_name(f"{copy.name}.part")
    try:
        make_private(unfinished)
        with closing(sqlite3.connect(unfinished)) as target:
            source.backup(target)
        unfinished.replace(copy)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            unfinished.unlink()
        raise LedgerError(
            f"{path}: must be migrated, but no copy could be made as {copy.name} ({error}): "
            "make room beside it; the ledger is as it was"
        ) from error
    return copy


def migrate(connection: Connection, migrations: Path = MIGRATIONS, revision: str = REVISION) -> None:
    """Bring the tables to a revision, in one transaction; what failed under an older program is tried once again."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    # A migration may have to rebuild a table that others refer to; the pragma has no effect inside a transaction.
    driver = driver_of(connection)
    driver.execute("PRAGMA foreign_keys=OFF").close()
    try:
        with connection.begin():
            command.upgrade(config, revision)
            connection.exec_driver_sql(_TRY_FAILED_AGAIN)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise LedgerError(f"migrating to {revision} would leave {len(broken)} rows without their frame")
    finally:
        driver.execute("PRAGMA foreign_keys=ON").close()
