"""The ledger opened for writing by one command: there is one writer, and a running daemon is it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from emwatch.errors import EmwatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.ledger.writer import Ledger


@contextmanager
def exclusive_ledger(config: Config, *, what: str, must_exist: bool = False) -> Iterator[Ledger]:
    """
    Open the ledger for writing, under its lock; ``what`` is done with it, in the words of the message.

    Raises:
        ConfigError: it would lie in a watched directory.
        EmwatchError: another process has it; the message says which one and what to do.
        LedgerError: it cannot be used, or is not there and ``must_exist``.

    """
    from emwatch.ledger.sqlite_file import must_be_there
    from emwatch.ledger.writer import Ledger
    from emwatch.service.lock import SingleInstance, holder
    from emwatch.service.roots import refuse_watched

    path = config.ledger.path
    refuse_watched(config)
    if must_exist:
        must_be_there(path)
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
        with Ledger(
            path,
            sessions=config.session_rules(),
            alert_max_age=config.alerts.max_age,
            backups=config.ledger.backups,
        ) as ledger:
            yield ledger
    finally:
        lock.release()
