"""Snoozes and acknowledgements from the page: checked here, then left for the daemon, as `emwatch alerts` does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from emwatch.service.alert_inbox import AlertRequest, hand_over

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from pathlib import Path

    from emwatch.web.frames import Frames

_LONGEST_SNOOZE_MINUTES: Final = 30 * 24 * 60


class AlertRequestError(ValueError):
    """A request about alerts that makes no sense; the message says what is expected."""


def ask_about_alerts(
    ledger: Path, document: Any, targets: Collection[str], frames: Frames, now: datetime
) -> dict[str, Any]:
    """
    Hand a request about alerts to the daemon; return what was handed over.

    ``document``: ``{"do": "snooze", "target": "needle", "minutes": 60}``, where 0 minutes end a snooze and the target ""
    stands for every one, or ``{"do": "acknowledge", "target": "needle", "up_to": 412}``: no alert with a higher number, of
    which whoever asks cannot know yet. Raises `AlertRequestError`.
    """
    if not isinstance(document, dict):
        raise AlertRequestError("expected an object with do, target and, to snooze, minutes")
    do, target = document.get("do"), document.get("target")
    if do not in {"snooze", "acknowledge"}:
        raise AlertRequestError("do: expected snooze or acknowledge")
    known = targets if do == "snooze" else dict.fromkeys([*targets, *frames.targets()])
    if not isinstance(target, str) or (target and target not in known):
        raise AlertRequestError(
            f"target: expected one of {', '.join(known) or '(none is configured)'}; or empty for all"
        )
    if do == "acknowledge":
        up_to = document.get("up_to")
        if up_to is not None and (type(up_to) is not int or up_to < 0):
            raise AlertRequestError("up_to: expected the number of an alert")
        ids = [each for each in frames.unacknowledged(target or None) if up_to is None or each <= up_to]
        if ids:
            hand_over(ledger, AlertRequest("acknowledge", tuple(ids)), now)
        return {"do": do, "target": target, "alerts": len(ids)}
    minutes = document.get("minutes")
    if type(minutes) is not int or not 0 <= minutes <= _LONGEST_SNOOZE_MINUTES:
        raise AlertRequestError(f"minutes: expected a whole number from 0 to {_LONGEST_SNOOZE_MINUTES:,}")
    until = (now + timedelta(minutes=minutes)).isoformat(timespec="seconds") if minutes else ""
    hand_over(ledger, AlertRequest("snooze", target=target, until=until), now)
    return {"do": do, "target": target, "until": until}
