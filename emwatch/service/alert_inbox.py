"""Snoozes, acknowledgements and retries of alerts while the daemon runs: as a request; see `emwatch.service.inbox`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from emwatch.service.inbox import Inbox, leave

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.ingest.events import Event
    from emwatch.ledger.writer import Ledger

_MOST_IDS: Final = 50_000


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """
    What an operator asks for.

    Attributes:
        do: ``snooze`` a target until a time, or ``acknowledge`` or ``retry`` alerts.
        ids: numbers of alerts; ``None`` with ``retry``: all.
        target: to snooze; "" stands for every target.
        until: end of the snooze, ISO 8601 with offset; "" lifts it.

    """

    do: Literal["snooze", "acknowledge", "retry"]
    ids: tuple[int, ...] | None = ()
    target: str = ""
    until: str = ""


def apply(ledger: Ledger, asked: AlertRequest, now: datetime) -> int:
    """Do what is asked for. Returns how many alerts changed, 1 for a snooze. Raises `LedgerError`."""
    if asked.do == "snooze":
        ledger.snooze_alerts(asked.target, datetime.fromisoformat(asked.until) if asked.until else None, now)
        return 1
    if asked.do == "acknowledge":
        return ledger.acknowledge_alerts(asked.ids or (), now)
    return ledger.retry_dead_alerts(asked.ids, now)


def hand_over(ledger: Path, asked: AlertRequest, now: datetime) -> Path:
    """Leave a request for the daemon. Returns its file, which goes when it is done. Raises `EmwatchError`."""
    return leave(_folder(ledger), asdict(asked), now)


def _folder(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.alerts")


def alert_inbox(
    ledger: Ledger, tell: Callable[[Event], None], now: Callable[[], datetime], done: Callable[[], None] = lambda: None
) -> Inbox:
    """Return what does the requests that wait; ``done`` is called after each."""

    def take(document: Any) -> None:
        apply(ledger, _request(document), now())
        done()

    return Inbox(_folder(ledger.path), take, tell, what="a request about alerts")


def _request(found: Any) -> AlertRequest:
    """Return the request of a document. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
    ids = found["ids"]
    if ids is not None and not (
        len(ids) <= _MOST_IDS and all(type(each) is int and 0 <= each < 1 << 63 for each in ids)
    ):
        raise ValueError("ids must be numbers of alerts")
    until = found["until"]
    if until and datetime.fromisoformat(until).tzinfo is None:
        raise ValueError("until has no time zone")
    if found["do"] not in {"snooze", "acknowledge", "retry"} or not isinstance(found["target"], str):
        raise ValueError("unknown request")
    return AlertRequest(found["do"], None if ids is None else tuple(ids), found["target"], until)
