"""What the damaged ledgers that this one stands in for knew: frames that nobody needs to be told of again."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError
from emwatch.ledger.care.replacement import connect_to_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from emwatch.frame import StatKey

logger = logging.getLogger(__name__)

_ALERTS_OWED: Final = (
    "SELECT (SELECT count(*) FROM alerts WHERE frame_id = f.id AND state = 'pending')"
    " FROM frames AS f WHERE path = ? AND sha256 = ? AND state = 'recorded'"
)


class Before:
    """
    Looks into ledgers that were moved aside, where that is possible; one thread at a time.

    ``asides``: each with the moment at which it was written last. Files newer than all of these were never in one.
    """

    def __init__(self, asides: Sequence[tuple[Path, datetime]] = ()) -> None:
        self._asides = asides
        self._connections: dict[Path, sqlite3.Connection | None] = {}

    def __bool__(self) -> bool:
        """Tell whether there is such a ledger."""
        return bool(self._asides)

    def had_time_for(self, key: StatKey | None) -> bool:
        """Tell whether a file was there before the last damage, going by its times."""
        return any(_is_older(key, moment) for _, moment in self._asides)

    def has_told(self, key: StatKey | None, path: str, sha256: str) -> bool:
        """
        Tell whether whoever waits for a frame has been told, as far as can be found out.

        ``path`` as it is stored. A frame that was not recorded before, or whose alerts waited, is still to be told; so is
        none of which nothing can be found out: being told twice of thousands hides the one that matters.
        """
        for aside, moment in self._asides:
            if _is_older(key, moment):
                owed = self._owed(aside, path, sha256)
                if owed is None or owed == 0:
                    return True
        return False

    def _owed(self, aside: Path, path: str, sha256: str) -> int | None:
        """Count the alerts of a frame that waited; -1: the frame was not recorded; ``None``: cannot be read."""
        try:
            if aside not in self._connections:
                self._connections[aside] = None  # not tried again, whatever comes
                self._connections[aside] = connect_to_evidence(aside)
            connection = self._connections[aside]
            found = None if connection is None else connection.execute(_ALERTS_OWED, (path, sha256)).fetchone()
        except (sqlite3.Error, OSError, LedgerError) as error:
            logger.debug("%s: cannot be asked: %s", aside, error)
            return None
        if connection is None:
            return None
        return -1 if found is None else int(found[0])

    def close(self) -> None:
        """Let go of the files."""
        for connection in self._connections.values():
            if connection is not None:
                connection.close()
        self._connections.clear()


def _is_older(key: StatKey | None, moment: datetime) -> bool:
    return key is not None and max(key.mtime_ns, key.ctime_ns) / 1e9 <= moment.timestamp()
