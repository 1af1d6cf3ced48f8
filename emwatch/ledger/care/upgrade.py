"""Bringing an older or empty ledger to the present tables: a copy first, then one transaction."""

from __future__ import annotations

import logging
import runpy
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError
from emwatch.ledger.database import driver_of, revision_of
from emwatch.ledger.file_lock import make_private
from emwatch.ledger.schema import REVISION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

#: An older program gave some up for good that a newer one reads: dead readers, black rows, makers it did not know.
_TRY_FAILED_AGAIN: Final = (
    "UPDATE frames SET retry_at = recorded_at WHERE state = 'failed' AND superseded_by IS NULL AND retry_at IS NULL"
)
#: Ledgers of before were migrated by Alembic, whose table it is.
_VERSION_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS alembic_version"
    " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
logger = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"
TELL_EVERY_S: Final = 5.0
_STEPS_BETWEEN_LOOKS: Final = 100_000
_CACHE_KIB: Final = 64_000  # indexes of millions of rows are sorted in it


def bring_up_to_date(
    connection: Connection, path: Path, now: datetime, *, migrations: Path = MIGRATIONS, revision: str = REVISION
) -> Path | None:
    """
    Migrate the ledger if it is not at ``revision``. Returns the copy made before, if there was content.

    Raises:
        LedgerError: the file is not a ledger, or newer than this program, or cannot be copied.

    """
    with connection.begin():
        found = revision_of(connection, path)
    if found == revision:
        return None
    copy = _copied(driver_of(connection), path, found, now) if found is not None else None
    with _told(driver_of(connection), path):
        migrate(connection, migrations, revision)
    return copy


@contextmanager
def _told(driver: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Log every few seconds that a migration is under way: years of frames take a minute."""
    begun = told = time.monotonic()

    def look() -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_EVERY_S:
            told = now
            logger.warning(
                "%s: is being brought up to date for this emwatch, %.0f s so far (about a minute for a million frames); "
                "if it is stopped now, the next start begins again",
                path,
                now - begun,
            )

    (pages,) = driver.execute("PRAGMA cache_size").fetchone()
    driver.execute(f"PRAGMA cache_size=-{_CACHE_KIB}").close()
    driver.set_progress_handler(look, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
        driver.execute(f"PRAGMA cache_size={pages}").close()


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


def revisions_in(migrations: Path) -> dict[str, Path]:
    """Return the file of each revision, ``NNNN_name.py`` with ``STATEMENTS`` of SQL, in the order in which they are run."""
    return {file.name.partition("_")[0]: file for file in sorted(migrations.glob("[0-9]*_*.py"))}


def migrate(connection: Connection, migrations: Path = MIGRATIONS, revision: str = REVISION) -> None:
    """Bring the tables to a revision, in one transaction; what failed under an older program is tried once again."""
    # A migration may have to rebuild a table that others refer to; the pragma has no effect inside a transaction.
    driver = driver_of(connection)
    driver.execute("PRAGMA foreign_keys=OFF").close()
    try:
        with connection.begin():
            connection.exec_driver_sql(_VERSION_TABLE)
            found = connection.exec_driver_sql("SELECT max(version_num) FROM alembic_version").scalar() or ""
            for number, file in revisions_in(migrations).items():
                if found < number <= revision:
                    for statement in runpy.run_path(str(file))["STATEMENTS"]:
                        connection.exec_driver_sql(statement)
            connection.exec_driver_sql("DELETE FROM alembic_version")
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (revision,))
            connection.exec_driver_sql(_TRY_FAILED_AGAIN)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise LedgerError(f"migrating to {revision} would leave {len(broken)} rows without their frame")
    finally:
        driver.execute("PRAGMA foreign_keys=ON").close()
