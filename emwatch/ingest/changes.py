"""Finds the files that are still to be read, by comparison with the ledger."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from emwatch.frame import FrameState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import StatKey
    from emwatch.ledger.writer import Known, Ledger

#: A retry time further ahead comes from a wrong clock: the longest delay is 6 hours.
_CLOCK_WAS_PUT_BACK = timedelta(hours=7)
#: Files of one listing whose ctime alone moved: a few may have been overwritten with their old times and are read again;
#: more are a backup by hard links or a chmod, after which reading everything would take hours.
_FEW_TOUCHED = 20
_NOT_READ_AGAIN_FOR_A_TOUCH = (FrameState.RECORDED, FrameState.SKIPPED, FrameState.BASELINE)


class FilesToRead(NamedTuple):
    """Files that are to be read, and which of them have not changed since they failed: they are tried again."""

    files: dict[Path, StatKey]
    again: frozenset[Path]


class Changes:
    """Compares files with the ledger."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def of_files(self, present: Mapping[Path, StatKey]) -> dict[Path, StatKey]:
        """
        Return the files that are to be read: unknown, changed, or due for another try.

        A mere touch (chmod, hard-link backup, virus scanner) moves only the ctime: it is noted and left at that.
        Raises `LedgerError`.
        """
        known = self._ledger.known_files(present) if present else {}
        return self._to_read((path, key, known.get(path)) for path, key in present.items()).files

    def in_folder(self, folder: Path, files: Mapping[str, StatKey], *, ctime_tells: bool = False) -> FilesToRead:
        """
        Return the same of a folder's files by name: the cheap way for the many that a sweep finds unchanged.

        ``ctime_tells``: a few files whose ctime alone moved are to be read as well.
        """
        unlike = self._ledger.unlike(folder, files) if files else {}
        compared = [(folder / name, files[name], known) for name, known in unlike.items()]
        return self._to_read(compared, most_touched=_FEW_TOUCHED if ctime_tells else 0)

    def _to_read(self, compared: Iterable[tuple[Path, StatKey, Known | None]], most_touched: int = 0) -> FilesToRead:
        news: dict[Path, StatKey] = {}
        touched: dict[Path, StatKey] = {}
        again: set[Path] = set()
        for path, key, before in compared:
            if before is None:
                news[path] = key
            elif self._retry_is_due(before) and _may_be_read(path):
                news[path] = key
                if before.stat_key == key:
                    again.add(path)
            elif before.stat_key != key:
                (touched if _is_a_touch(before, key) else news)[path] = key
        if len(touched) <= most_touched:
            return FilesToRead(news | touched, frozenset(again))
        self._ledger.touch(touched.items())
        return FilesToRead(news, frozenset(again))

    def _retry_is_due(self, known: Known) -> bool:
        if known.retry_at is None:
            return False
        now = self._clock.now()
        return known.retry_at <= now or known.retry_at > now + _CLOCK_WAS_PUT_BACK


def _may_be_read(path: Path) -> bool:
    """Return whether the permissions allow this process to read a file; the file is not opened."""
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_a_touch(known: Known, key: StatKey) -> bool:
    """Return whether only the ctime moved; what could not be read is read again, since a chmod may have unlocked it."""
    return (
        known.state in _NOT_READ_AGAIN_FOR_A_TOUCH
        and known.stat_key is not None
        and known.stat_key.same_content_likely(key)
    )
