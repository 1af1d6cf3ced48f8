"""The ledger for one command alone: there is one writer, and a running daemon is it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from emwatch.errors import EmwatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.ledger.writer import Ledger


@contextmanager
def alone_with_the_ledger(config: Config, *, what: str) -> Iterator[Ledger]:
    """
    Open the ledger for writing, under its lock; ``what`` is done with it, in the words of the message.

    Raises `EmwatchError` that says which process has it and what to do, `LedgerError` where it cannot be used.
    """
    from emwatch.ledger.writer import Ledger
    from emwatch.service.lock import SingleInstance, holder

    path = config.ledger.path
    lock = SingleInstance(path)
    try:
        lock.acquire()
    except EmwatchError as error:
        process = holder(path)
        if process is None:
            raise
        raise EmwatchError(
            f"{path}: emwatch runs on this ledger{f' (process {process})' if process else ''}, and only one may write it: "
            f"stop it (systemctl stop emwatch), {what}, start it again; frames that arrive meanwhile are recorded at its start"
        ) from error
    try:
        gap = timedelta(minutes=config.ledger.session_gap_minutes)
        with Ledger(
            path, session_gap=gap, alert_max_age=config.alerts.max_age, backups=config.ledger.backups
        ) as ledger:
            yield ledger
    finally:
        lock.release()
