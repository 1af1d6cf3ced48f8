"""
Snoozes, acknowledgements and retries handed to the daemon, which is the ledger's only writer.

A request is a small JSON file in a folder beside the ledger, written whole; it goes when it is done. Done twice after a
kill, it changes nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from emwatch.errors import LedgerError
from emwatch.foreign_file import parse_json, read_bounded
from emwatch.frame import path_to_text
from emwatch.ingest.events import Notice
from emwatch.service.inbox import leave

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.ingest.events import Event
    from emwatch.ledger.writer import Ledger

_LOOK_EVERY_S: Final = 1.0
_LARGEST_BYTES: Final = 1_000_000
_MOST_IDS: Final = 50_000
_LONGEST_REASON: Final = 500


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


def _read(request: Path) -> AlertRequest:
    """Return a request. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
    found = parse_json(read_bounded(request, _LARGEST_BYTES))
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


class AlertInbox:
    """Does what waits, once a second, between two frames; ``done`` is called afterwards. An invalid request is kept under another name."""

    def __init__(
        self,
        ledger: Ledger,
        tell: Callable[[Event], None],
        now: Callable[[], datetime],
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger, self._tell, self._now, self._done = ledger, tell, now, done
        self._next_look = 0.0
        self._stuck: set[str] = set()

    def tick(self, now: float) -> None:
        """Look for requests; ``now``: monotonic seconds."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        try:
            waiting = sorted(path for path in _folder(self._ledger.path).iterdir() if path.suffix == ".json")
        except OSError:  # there are no requests yet
            return
        for request in waiting:
            if request.name not in self._stuck and not request.name.startswith("."):
                self._take(request)

    def _take(self, request: Path) -> None:
        refused = ""
        try:
            apply(self._ledger, _read(request), self._now())
        except LedgerError:
            return  # the frames tell of it; it is tried again
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            refused = f"lacks {error}" if isinstance(error, KeyError) else str(error)[:_LONGEST_REASON]
        kept = request.with_suffix(".refused")
        try:
            request.replace(kept) if refused else request.unlink()
        except OSError:
            self._stuck.add(request.name)
            kept = request
        if refused:
            text = f"a request about alerts was refused, and kept as {path_to_text(kept)}: {refused}"
            self._tell(Notice("warning", text, kept))
        self._done()
