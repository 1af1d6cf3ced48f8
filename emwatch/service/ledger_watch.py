"""Checks the ledger's files every few seconds: whether they are still in place, and how large the -wal is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError
from emwatch.frame import path_to_text
from emwatch.ingest.events import Notice
from emwatch.ledger.sqlite_file import beside

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.ingest.events import Event
    from emwatch.ledger.writer import Ledger
    from emwatch.service.lock import SingleInstance

_EVERY_S: Final = 2.0
_CUT_BACK_EVERY_S: Final = 10.0
#: A -wal of this size has not been emptied for thousands of frames: another program never ends its read.
LARGE_WAL_BYTES: Final = 64_000_000


class LedgerWatch:
    """
    Checks the ledger's files between two frames; `tick` costs a few system calls every two seconds.

    ``tell`` takes each fault once. ``known`` returns the fault that is reported already.
    """

    def __init__(
        self, ledger: Ledger, lock: SingleInstance, tell: Callable[[Event], None], known: Callable[[], str] = str
    ) -> None:
        self._ledger = ledger
        self._lock = lock
        self._tell = tell
        self._known = known
        self._next_check = 0.0
        self._next_cut = 0.0
        self._wal_told = False
        self._told = ""

    def tick(self, now: float) -> None:
        """Check the files if it is time to; ``now``: monotonic seconds."""
        if now < self._next_check:
            return
        self._next_check = now + _EVERY_S
        path = self._ledger.path
        try:
            if self._lock.renew():
                self._tell(
                    Notice(
                        "warning",
                        f"{path}: its lock file was deleted and has been created again; do not delete it",
                        path,
                    )
                )
            self._ledger.check_place()
            self._see_to_the_wal(now)
            self._told = ""
        except EmwatchError as error:
            if str(error) not in (self._told, self._known()):
                self._tell(Notice("error", str(error), path))
            self._told = str(error)
        for text in self._ledger.take_news():
            if text not in self._known():
                self._tell(Notice("error", text, path))

    def _see_to_the_wal(self, now: float) -> None:
        large = self._ledger.wal_bytes() > LARGE_WAL_BYTES
        if large and now >= self._next_cut:
            self._next_cut = now + _CUT_BACK_EVERY_S
            self._ledger.cut_back_wal()
            large = self._ledger.wal_bytes() > LARGE_WAL_BYTES
            if large and not self._wal_told:
                self._wal_told = True
                self._tell(
                    Notice("warning", wal_trouble(self._ledger.path, self._ledger.wal_bytes()), self._ledger.path)
                )
        if not large and self._wal_told:
            self._wal_told = False
            self._tell(Notice("info", f"{self._ledger.path}: its -wal was emptied; no program blocks it any more"))


def wal_trouble(ledger: Path, size_bytes: int) -> str:
    """Return a warning about a -wal that grows because of a reader; it names the program if that is visible."""
    readers = ", ".join(readers_of(ledger))
    return (
        f"{path_to_text(ledger)}: a program has kept the ledger open for reading, and its -wal has grown to "
        f"{size_bytes / 1e6:.0f} MB: close it{f' ({readers})' if readers else ''}; the -wal shrinks then"
    )


def readers_of(ledger: Path) -> list[str]:
    """Return the other processes that have a ledger open, as ``name (process N)``; Linux only, as far as permitted."""
    wal = beside(Path(os.path.realpath(ledger)), "-wal")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(process.name) != os.getpid() and any(each.readlink() == wal for each in (process / "fd").iterdir()):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                found.append(f"{name} (process {process.name})")
        except OSError:  # not permitted, or ended meanwhile
            continue
    return found
