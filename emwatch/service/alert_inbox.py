"""Snoozes, acknowledgements and retries of alerts while the daemon runs: as a request; see `emwatch.service.inbox`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from emwatch.service.inbox import Inbox, leave, row_number, text

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
    ids, until = found["ids"], found["until"]
    if ids is not None and len(ids) > _MOST_IDS:
        raise ValueError(f"holds {len(ids):,} alerts, and at most {_MOST_IDS:,} are taken at once")
    if until and datetime.fromisoformat(until).tzinfo is None:  # any year: some snooze for ever
        raise ValueError("until has no time zone")
    if found["do"] not in {"snooze", "acknowledge", "retry"}:
        raise ValueError("unknown request")
    numbers = None if ids is None else tuple(row_number("ids", each) for each in ids)
    return AlertRequest(found["do"], numbers, text("target", found["target"]), until)
