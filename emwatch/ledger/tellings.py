"""The alert policy on the ledger's rows: what is told now, held, told together, snoozed, acknowledged and escalated."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, delete, func, or_, select, tuple_, union, update
from sqlalchemy.dialects.sqlite import insert

from emwatch.alerts.policy import ImagedPlace, Told, WaitingAlert, plan
from emwatch.alerts.wording import digest_reason
from emwatch.frame import path_to_text, text_to_path
from emwatch.ledger.outbox import by_id, is_due
from emwatch.ledger.row_values import alert_key
from emwatch.ledger.schema import acquisition, alerts, frames, snoozes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Select

    from emwatch.alerts.alert import Alert
    from emwatch.alerts.policy import Policy, TellingPlan

#: What is held is decided anew at least this often: the policy, the snoozes and the clock may have changed.
_DECIDED_EVERY: Final = timedelta(minutes=5)
#: A digest tells of no more alerts than this; what is left goes into the next one.
_MOST_TOGETHER: Final = 10_000
_BEST: Final = 3

_PLACE: Final = (
    acquisition.c.stage_x_mm,
    acquisition.c.stage_y_mm,
    acquisition.c.horizontal_field_width_um,
    acquisition.c.pixel_size_nm,
    frames.c.width,
)
_JOINED: Final = alerts.join(frames, frames.c.id == alerts.c.frame_id).outerjoin(
    acquisition, acquisition.c.frame_id == frames.c.id
)
#: One telling: an alert told alone, or all that were told in one digest or not told since the place was told before.
_TELLING: Final = case((alerts.c.digest != "", alerts.c.digest), else_=alerts.c.key)


def to_tell(
    connection: Connection, channel: str, now: datetime, limit: int, not_after: datetime | None, policy: Policy
) -> tuple[Alert, ...]:
    """
    Return what of a channel's due alerts is to be told now, at most ``limit`` tellings, and hold back the rest.

    A digest gets its key and its members here, before it is sent: tried again, it is the same one.
    """
    _count_from_now(connection, now)
    snoozed = snoozed_until(connection, now)
    together = policy.windows or snoozed or policy.quiet_until(now)
    waiting = _waiting(connection, is_due(channel, now, not_after), _MOST_TOGETHER if together else limit)
    if not waiting:
        return ()
    made = plan(waiting, _told(connection, channel, now, policy), policy, now, snoozed)
    _write(connection, made, now)
    return tuple(_telling(connection, unit, policy) for unit in made.tell[:limit])


def snoozed_until(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Return until when alerts are held, by target; "" stands for every target."""
    rows = connection.execute(select(snoozes).where(snoozes.c.until > now))
    return {row.target: now + _length(row) if _is_ahead(row, now) else row.until for row in rows}


def _is_ahead(row: Any, now: datetime) -> bool:
    """Return whether a snooze was given by a clock that has been put back since: its end may be days too late."""
    return row.given_at is not None and row.given_at > now


def _length(row: Any) -> timedelta:
    length: timedelta = row.until - row.given_at
    return length


def _count_from_now(connection: Connection, now: datetime) -> None:
    """Let what a clock that was ahead has snoozed hold for its length from now on. How much of it was over, nobody knows."""
    for row in connection.execute(select(snoozes).where(snoozes.c.given_at > now)).all():
        begun_anew = update(snoozes).where(snoozes.c.target == row.target)
        connection.execute(begun_anew.values(given_at=now, until=now + _length(row)))


def snooze(connection: Connection, target: str, until: datetime | None, now: datetime) -> None:
    """Hold a target's alerts until a time, ``None``: no longer; "" stands for every target."""
    connection.execute(delete(snoozes).where(or_(snoozes.c.target == target, snoozes.c.until <= now)))
    if until is not None:
        connection.execute(insert(snoozes).values(target=target, until=until, given_at=now))
    connection.execute(
        update(alerts)
        .where(alerts.c.state == "pending", alerts.c.held == "snoozed", alerts.c.next_try_at > now)
        .values(next_try_at=now)
    )


def acknowledge(connection: Connection, ids: Iterable[int], now: datetime) -> int:
    """
    Note that somebody has seen alerts, on every channel and with all that was told together with them; returns how many.

    An escalation of them that still waits is given up.
    """
    wanted = _numbers(ids)
    with_them = select(alerts.c.digest).where(alerts.c.id.in_(wanted), alerts.c.digest != "")
    match = select(alerts.c.frame_id, alerts.c.target)
    seen = union(  # not one question with OR, for which SQLite reads all alerts
        match.where(alerts.c.id.in_(wanted)),
        match.where(alerts.c.digest != "", alerts.c.digest.in_(with_them)),
        match.where(alerts.c.key.in_(with_them)),
    )
    of_them = and_(
        alerts.c.frame_id.in_(select(seen.subquery().c.frame_id)),  # for its index
        tuple_(alerts.c.frame_id, alerts.c.target).in_(seen),
    )
    noted = update(alerts).where(of_them, alerts.c.acknowledged_at.is_(None))
    number = connection.execute(noted.values(acknowledged_at=now, escalate_at=None)).rowcount
    connection.execute(
        update(alerts)
        .where(of_them, alerts.c.escalation, alerts.c.state == "pending")
        .values(state="dead", last_error="acknowledged before it was told")
    )
    return number


def retry(connection: Connection, ids: Iterable[int] | None, now: datetime) -> int:
    """Make alerts wait again that were given up, ``None``: all of them, and try all that wait now. Returns how many."""
    which = or_(alerts.c.state == "dead", and_(alerts.c.state == "pending", alerts.c.next_try_at > now))
    if ids is not None:
        which = and_(which, alerts.c.id.in_(_numbers(ids)))
    # The time in which it may fail begins anew.
    again = update(alerts).where(which, alerts.c.acknowledged_at.is_(None))
    return connection.execute(again.values(state="pending", attempts=0, next_try_at=now, created_at=now)).rowcount


def _numbers(ids: Iterable[int]) -> Select[Any]:
    """Return numbers as a sub-query: SQLite takes only so many values in one statement."""
    return select(func.json_each(json.dumps(list(ids))).table_valued("value").c.value)


def _waiting(connection: Connection, due: Any, limit: int) -> list[WaitingAlert]:
    columns = select(alerts.c.id, alerts.c.target, alerts.c.held, alerts.c.digest, *_PLACE).select_from(_JOINED)
    kept = or_(alerts.c.held != "", alerts.c.digest != "")
    found: list[WaitingAlert] = []
    for which, most in ((kept, _MOST_TOGETHER), (~kept, limit)):
        rows = connection.execute(columns.where(due, which).order_by(alerts.c.id).limit(most))
        found += [WaitingAlert(row.id, row.target, bool(row.held), row.digest, _place(row)) for row in rows]
    return found


def _told(connection: Connection, channel: str, now: datetime, policy: Policy) -> list[Told]:
    if not policy.memory:
        return []
    columns = select(_TELLING.label("telling"), alerts.c.target, alerts.c.delivered_at, *_PLACE).select_from(_JOINED)
    recent = (alerts.c.state == "delivered", alerts.c.channel == channel, alerts.c.delivered_at > now - policy.memory)
    rows = defaultdict(list)
    for row in connection.execute(columns.where(*recent).order_by(alerts.c.delivered_at)):
        rows[row.telling, row.target].append(row)
    return [
        Told(key, target, of_it[0].delivered_at, tuple(place for row in of_it if (place := _place(row))))
        for (key, target), of_it in rows.items()
    ]


def _place(row: Any) -> ImagedPlace | None:
    width_um = row.horizontal_field_width_um
    if width_um is None and row.pixel_size_nm is not None and row.width:
        width_um = row.pixel_size_nm * row.width / 1000
    if not width_um or row.stage_x_mm is None or row.stage_y_mm is None:
        return None
    return ImagedPlace(row.stage_x_mm, row.stage_y_mm, width_um)


def _write(connection: Connection, made: TellingPlan, now: datetime) -> None:
    by_hold: dict[tuple[datetime, str], list[int]] = defaultdict(list)
    for alert_id, hold in made.hold.items():
        by_hold[min(hold.until, now + _DECIDED_EVERY), hold.reason].append(alert_id)
    for (until, reason), ids in by_hold.items():
        connection.execute(update(alerts).where(alerts.c.id.in_(_numbers(ids))).values(next_try_at=until, held=reason))
    for alert_id, key in made.with_other.items():
        connection.execute(
            update(alerts)
            .where(alerts.c.id == alert_id)
            .values(state="delivered", delivered_at=now, digest=key, last_error="")
        )


def _telling(connection: Connection, unit: Sequence[int], policy: Policy) -> Alert:
    members = by_id(connection, unit)
    first = members[0]
    if len(members) == 1:
        return first
    digest: str = connection.scalar(select(alerts.c.digest).where(alerts.c.id == first.id)) or _digest_key(members)
    connection.execute(update(alerts).where(alerts.c.id.in_(_numbers(unit))).values(digest=digest))
    fresh = select(alerts.c.id).where(alerts.c.id.in_(_numbers(unit)), ~alerts.c.escalation).limit(1)
    late = connection.scalar(fresh) is None
    reason = digest_reason(members[:_BEST], len(members))
    return replace(
        first,
        key=digest,
        reason=_unheard(policy, reason) if late else reason,
        queued_at=min(each.queued_at for each in members),
        attempts=max(each.attempts for each in members),
        count=len(members),
        best=members[:_BEST],
    )


def _digest_key(members: Sequence[Alert]) -> str:
    return hashlib.sha256(" ".join(sorted(each.key for each in members)).encode("ascii")).hexdigest()[:32]


def _unheard(policy: Policy, reason: str) -> str:
    return f"nobody acknowledged within {policy.escalate_after_minutes:g} min: {reason}"


def pass_on(connection: Connection, channel: str, now: datetime, policy: Policy) -> None:
    """Queue for a channel what nobody acknowledged in time: what was told as a digest is a digest there, too."""
    of_alert = (alerts.c.id, alerts.c.frame_id, alerts.c.target, alerts.c.reason, alerts.c.digest)
    latest = now + policy.escalate_after  # beyond it only if the clock was put back, or the policy has changed
    connection.execute(update(alerts).where(alerts.c.escalate_at > latest).values(escalate_at=latest))
    late = (
        select(*of_alert, frames.c.path, frames.c.sha256)
        .select_from(_JOINED)
        .where(alerts.c.escalate_at <= now)
        .order_by(alerts.c.id)
    )
    for row in connection.execute(late).all():
        passed_on = {
            "key": alert_key(row.path, row.sha256, row.target, channel),
            "frame_id": row.frame_id,
            "channel": channel,
            "target": row.target,
            "reason": _unheard(policy, row.reason),
            "digest": row.digest and hashlib.sha256(f"{row.digest} {channel}".encode()).hexdigest()[:32],
            "state": "pending",
            "next_try_at": now,
            "created_at": now,
            "escalation": True,
        }
        connection.execute(insert(alerts).on_conflict_do_nothing(), passed_on)
        connection.execute(update(alerts).where(alerts.c.id == row.id).values(escalate_at=None))


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as it is listed."""

    id: int
    key: str
    channel: str
    target: str
    reason: str
    state: str
    held: str
    attempts: int
    last_error: str
    created_at: datetime
    next_try_at: datetime
    delivered_at: datetime | None
    acknowledged_at: datetime | None
    digest: str
    frame_id: int
    path: Path

    def document(self) -> dict[str, Any]:
        """Return the row as a JSON-ready document; times are local, the path is UTF-8 text."""
        found = {name: getattr(self, name) for name in self.__slots__}
        times = {name: value.astimezone() for name, value in found.items() if isinstance(value, datetime)}
        return {**found, **times, "path": path_to_text(self.path)}


def listed(
    connection: Connection, *, state: str | None, target: str | None, frame_id: int | None, limit: int
) -> list[AlertRow]:
    """Return alerts, the newest first; ``None``: whatever their state, target or frame."""
    names = [name for name in AlertRow.__slots__ if name != "path"]
    which = select(*(alerts.c[name] for name in names), frames.c.path).select_from(_JOINED)
    if state is not None:
        which = which.where(alerts.c.state == state)
    if target is not None:
        which = which.where(alerts.c.target == target)
    if frame_id is not None:
        which = which.where(alerts.c.frame_id == frame_id)
    rows = connection.execute(which.order_by(alerts.c.id.desc()).limit(limit)).mappings()
    return [AlertRow(**{**row, "path": text_to_path(row["path"])}) for row in rows]


def unacknowledged(connection: Connection, *, target: str | None, ids: Sequence[int] | None) -> list[int]:
    """Return the numbers of alerts that were told and that nobody has acknowledged, of a target or among ``ids``."""
    which = select(alerts.c.id).where(alerts.c.state == "delivered", alerts.c.acknowledged_at.is_(None))
    if target is not None:
        which = which.where(alerts.c.target == target)
    if ids is not None:
        which = which.where(alerts.c.id.in_(_numbers(ids)))
    return list(connection.scalars(which.order_by(alerts.c.id.desc()).limit(_MOST_TOGETHER)))
