"""What the outbox asks of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from emwatch.alerts.alert import Alert
    from emwatch.alerts.policy import Policy


class AlertStore(Protocol):
    """The store of waiting alerts; every method raises `LedgerError` if the ledger cannot be used."""

    def due_alerts(
        self, channel: str, now: datetime, limit: int, *, not_after: datetime | None, policy: Policy | None
    ) -> Sequence[Alert]:
        """Return what to tell now of the alerts due by ``now``, or set to wait beyond ``not_after``, oldest first."""
        ...

    def next_alert_at(self, channel: str, *, passed_on: bool) -> datetime | None:
        """Return when the next alert of a channel is due; ``passed_on``: also what nobody acknowledges goes to it."""
        ...

    def pass_on(self, channel: str, now: datetime, policy: Policy) -> None:
        """Queue for a channel what nobody acknowledged in time."""
        ...

    def alert_delivered(self, alert_id: int, at: datetime, escalate_at: datetime | None) -> None:
        """Note a delivery, and when it is passed on if nobody acknowledges it."""
        ...

    def alert_failed(self, alert_id: int, error: str, next_try_at: datetime) -> None:
        """Note a failure and the next try."""
        ...

    def alert_dead(self, alert_id: int, error: str) -> None:
        """Mark an alert as dead: it is not tried again."""
        ...

    def retry_alerts(self, channel: str, now: datetime) -> None:
        """Make all waiting alerts of a channel due."""
        ...
