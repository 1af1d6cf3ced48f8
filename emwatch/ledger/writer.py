"""The one writer of the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from emwatch.clock import SystemClock
from emwatch.frame import FrameState
from emwatch.ledger import bars, current, outbox, row_values, tellings
from emwatch.ledger.bars import BarFindings, UnreadBar
from emwatch.ledger.care.check import restore_parts
from emwatch.ledger.care.merge import Merged
from emwatch.ledger.care.merge import merge as take_over
from emwatch.ledger.care.prune import Prune, Pruned, prune
from emwatch.ledger.current import Known
from emwatch.ledger.database import BUSY_TIMEOUT_MS
from emwatch.ledger.entries import enter
from emwatch.ledger.held_file import READING, HeldFile
from emwatch.ledger.outbox import AlertRules, Queued
from emwatch.ledger.predictions import add_prediction
from emwatch.ledger.recording import Recorded, RecordingSettings, write_outcome
from emwatch.ledger.reviews import write_reviews
from emwatch.ledger.schema import frames, replacements, roots
from emwatch.session_rules import SessionRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from sqlalchemy import Connection

    from emwatch.alerts.alert import Alert
    from emwatch.alerts.policy import Policy
    from emwatch.clock import Clock
    from emwatch.frame import Outcome, Prediction, Review, StatKey
    from emwatch.ledger.care.replacement import Replaced
    from emwatch.ledger.care.salvage import Salvage
    from emwatch.ledger.entries import Entry
    from emwatch.ledger.predictions import Matched

__all__ = ["BarFindings", "Known", "Ledger", "Queued", "Recorded", "UnreadBar"]


class Ledger:
    """
    The ledger, open for writing; only one per file may exist in all processes together.

    Every public method is one transaction on the one connection and may be called from any thread: they take turns.
    Each raises `LedgerError` (`LedgerUnavailableError` if trying again helps) and leaves the ledger usable. A file that
    turns out to be damaged is moved aside and another begun, at the start or in between; ``replaced`` says so.

    Args:
        path: the SQLite file; made, with its folder, if it is missing.
        sessions: of which session a frame is.
        alert_max_age: older frames raise no alert; may be changed while the ledger is open.
        clock: dates the copy made before a migration, and what is moved aside; tells reviews that are dated ahead.
        busy_timeout_ms: how long another program's lock is waited for.
        backups: where backups lie; a damaged ledger is begun again from the newest of them.

    """

    def __init__(
        self,
        path: Path,
        *,
        sessions: SessionRules = SessionRules(),  # noqa: B008 - frozen, so one for all is right
        alert_max_age: timedelta = timedelta(days=3),
        clock: Clock | None = None,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        backups: Path | None = None,
    ) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._file = HeldFile(
            path,
            clock=self._clock,
            busy_timeout_ms=busy_timeout_ms,
            backups=backups or path.parent / "backups",
        )
        self.alert_max_age = alert_max_age
        self._sessions = sessions

    @property
    def replaced(self) -> Replaced | None:
        """What was done if the file was found to be damaged."""
        return self._file.replaced

    @property
    def start_check(self) -> str:
        """The result of the check at the start: ``ok``, ``not finished``, ``new ledger``."""
        return self._file.start_check

    @property
    def copy(self) -> Path | None:
        """The copy made before a migration, if there was one."""
        return self._file.copy

    @property
    def _alert_rules(self) -> AlertRules:
        return AlertRules(self.alert_max_age, self._file.before)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Fold the WAL into the file and let go of it."""
        self._file.close()

    def check_place(self) -> None:
        """Check that the file is still what its name leads to, and begin again if not; see `HeldFile.check_place`."""
        self._file.check_place()

    def wal_bytes(self) -> int:
        """Return how large the -wal is now, 0 without one."""
        return self._file.wal_bytes()

    def cut_back_wal(self) -> None:
        """Write the -wal into the file and empty it, as far as no reader prevents it; does not wait."""
        self._file.cut_back_wal()

    def take_news(self) -> list[str]:
        """Return what was done since the last call about a file that was lost or damaged while in use."""
        return self._file.take_news()

    def examine(self, seconds: float = 60.0) -> str:
        """
        Look the file over, beside everything else, for at most ``seconds``. Returns ``ok`` or ``not finished``.

        Raises:
            LedgerUnavailableError: it was damaged; the message says what was done about it.

        """
        return self._file.examine(seconds)

    def record(self, outcome: Outcome, recorded_at: datetime) -> Recorded:
        """
        Record what became of a file: row, metadata, prediction, matches and alerts, in one transaction.

        (a) A content already recorded under this path only gets its stat key refreshed (and is the current row again
            if it had been superseded): no new row, no alert. Where its metadata was not known and now is, as when a
            sidecar came late, that is added, with the matches and alerts that follow from it. A file merely out of
            reach never supersedes a frame.
        (b) A path whose current row is failed, skipped or baseline: that row is updated, so a file has one row.
        (c) A recorded frame with another content: a new row that supersedes it.
        (d) A content recorded under another path: a row with ``duplicate_of``, and no alert, unless its text or data bar
            is known under this path only.
        (e) Otherwise each match adds one alert per channel, with a key that is the same for ever, unless the frame is
            older than ``alert_max_age``.
        """
        with self._file.transaction() as connection:
            return write_outcome(connection, outcome, recorded_at, RecordingSettings(self._sessions, self._alert_rules))

    def record_all(self, outcomes: Sequence[Outcome], recorded_at: datetime) -> list[Recorded]:
        """Record several files as `record` does, in one transaction: all of them or none."""
        settings = RecordingSettings(self._sessions, self._alert_rules)
        with self._file.transaction() as connection:
            return [write_outcome(connection, each, recorded_at, settings) for each in outcomes]

    def add_prediction(
        self, frame_id: int, prediction: Prediction, made_at: datetime, matched: Matched | None = None
    ) -> Queued:
        """
        Add what another bundle says of a recorded frame; it becomes the frame's newest prediction.

        What this bundle said of it before stays, and nothing is added then. ``matched``: from the prediction and the stored
        metadata to the targets met; with it, new matches and the alerts they may raise are added.
        """
        with self._file.transaction() as connection:
            return add_prediction(connection, frame_id, prediction, made_at, matched, self._alert_rules)

    def add_reviews(self, reviews: Sequence[Review]) -> None:
        """Add what people say of frames, all or nothing; the very same review a second time changes nothing."""
        with self._file.transaction() as connection:
            write_reviews(connection, reviews, self._clock.now())

    def enter(self, entry: Entry) -> int:
        """Write what a person says of a session, or a note; see `emwatch.ledger.entries`. Raises `EntryError`."""
        with self._file.transaction() as connection:
            return enter(connection, entry, self._sessions)

    def unread_bar(self, *, of_frame: int | None = None, before_id: int | None = None) -> UnreadBar | None:
        """
        Return the newest recorded frame that lacks values and whose data bar was not tried yet, ``None`` without one.

        ``of_frame``: this one, if it is such a frame. ``before_id``: one with a smaller number.
        """
        with self._file.transaction(READING) as connection:
            return bars.unread(connection, of_frame=of_frame, before_id=before_id)

    def add_data_bar(self, frame_id: int, findings: BarFindings, read_at: datetime) -> Queued:
        """
        Complete a frame's metadata by what its data bar shows, and add the matches and alerts that follow.

        A match or alert that is there already stays as it is, and a second time changes nothing.
        Metadata that came meanwhile, as with a late sidecar, are those that are completed.
        """
        with self._file.transaction() as connection:
            return bars.write_bar(connection, frame_id, findings, read_at, self._alert_rules)

    def known_files(self, paths: Iterable[Path]) -> dict[Path, Known]:
        """Return the current rows of some files; those without one are left out."""
        with self._file.transaction(READING) as connection:
            return current.files_at(connection, paths)

    def unlike(self, folder: Path, files: Mapping[str, StatKey]) -> dict[str, Known | None]:
        """
        Return the files of a folder that are not recorded as they are now, by name; ``None`` if nothing is known of one.

        What is known and unchanged, but waits for another try, is given as well.
        """
        with self._file.transaction(READING) as connection:
            return current.unlike(connection, folder, files)

    def wants_sidecar(self, path: Path, sidecar: Path, key: StatKey) -> bool:
        """Return whether a recorded frame is to be read again because of a text file beside it; see `current`."""
        with self._file.transaction(READING) as connection:
            return current.wants_sidecar(connection, path, sidecar, key)

    def baseline(self, root: Path, entries: Iterable[tuple[Path, StatKey]], seen_at: datetime) -> int:
        """
        Note files that were there before the first start, without reading them; return how many were new to the ledger.

        All of them and the mark that this root has its baseline are one transaction: a kill leaves all or nothing.
        """
        same = {
            "state": FrameState.BASELINE,
            "first_seen_at": seen_at,
            "recorded_at": seen_at,
        }
        # In a ledger that was begun anew, what came after the damage is news and not known.
        before = self._file.before
        rows = [
            {"path": row_values.path_text(path), **row_values.stat_values(key), **same}
            for path, key in entries
            if not before or before.had_time_for(key)
        ]
        add = insert(frames).on_conflict_do_nothing()
        with self._file.transaction() as connection:
            added = connection.execute(add, rows).rowcount if rows else 0
            mark = {"path": row_values.path_text(root), "baseline_at": seen_at}
            connection.execute(insert(roots).values(mark).on_conflict_do_nothing())
        return added

    def baseline_taken(self, root: Path) -> bool:
        """Return whether the files that were there at the first start are already noted for this root."""
        of_root = select(roots.c.path).where(roots.c.path == row_values.path_text(root))
        with self._file.transaction(READING) as connection:
            return connection.execute(of_root).first() is not None

    def knows_files_below(self, root: Path) -> bool:
        """Return whether there is a row of any file in a directory."""
        with self._file.transaction(READING) as connection:
            return current.any_below(connection, root)

    def touch(self, entries: Iterable[tuple[Path, StatKey]]) -> None:
        """Refresh the stat keys of current rows whose content did not change, as after a chmod."""
        rows = [{"of_path": row_values.path_text(path), **row_values.stat_values(key)} for path, key in entries]
        if rows:
            current = frames.c.superseded_by.is_(None)
            with self._file.transaction() as connection:
                connection.execute(update(frames).where(current, frames.c.path == bindparam("of_path")), rows)

    def take_over(self, other: Salvage, *, send_waiting: bool, repaired_at: datetime | None = None) -> Merged:
        """
        Take over another ledger's rows without duplicates; see `emwatch.ledger.care.merge`.

        ``repaired_at``: ``other`` is the damaged one that this one stands in for, and need not be taken over again.
        """
        with self._file.transaction() as connection:
            merged = take_over(connection, other, self._sessions, send_waiting=send_waiting)
            if repaired_at is not None:
                of_it = replacements.c.set_aside == other.path.name
                connection.execute(update(replacements).where(of_it).values(recovered_at=repaired_at))
            return merged

    def handover_changes(self, change: Callable[[Connection], None]) -> None:
        """Change what is noted of the handover to a server, see `emwatch.ledger.server.changes`."""
        with self._file.transaction() as connection:
            change(connection)

    def unrepaired(self) -> tuple[Path, ...]:
        """Return the damaged ledgers that this one stands in for and that were not taken over yet, oldest first."""
        names = select(replacements.c.set_aside).where(replacements.c.recovered_at.is_(None))
        with self._file.transaction(READING) as connection:
            found = connection.scalars(names.order_by(replacements.c.noted_at)).all()
        return tuple(path for path in map(self.path.with_name, found) if path.exists())

    def restore_parts(self) -> list[str]:
        """Make the indexes and views again that are not there any more; returns their names."""
        with self._file.transaction() as connection:
            return restore_parts(connection)

    def prune(self, wanted: Prune, *, apply: bool) -> dict[str, Pruned]:
        """Remove what is asked for, or count it; see `emwatch.ledger.care.prune`."""
        with self._file.transaction() as connection:
            return prune(connection, wanted, apply=apply)

    def due_alerts(
        self,
        channel: str,
        now: datetime,
        limit: int = 4,
        *,
        not_after: datetime | None = None,
        policy: Policy | None = None,
    ) -> tuple[Alert, ...]:
        """
        Return a channel's waiting alerts that are to be told now, oldest first.

        A next try later than ``not_after`` was set by a clock that has been put back since: it is due as well. With a
        ``policy`` some are held back, and what was held is told as a digest; see `emwatch.ledger.tellings`.
        """
        if policy is None:
            with self._file.transaction(READING) as connection:
                return outbox.due(connection, channel, now, limit, not_after)
        with self._file.transaction() as connection:
            return tellings.to_tell(connection, channel, now, limit, not_after, policy)

    def next_alert_at(self, channel: str, *, passed_on: bool = False) -> datetime | None:
        """Return when the next alert of a channel is due; ``passed_on``: what nobody acknowledges goes to it as well."""
        with self._file.transaction(READING) as connection:
            return outbox.next_at(connection, channel, passed_on=passed_on)

    def pass_on(self, channel: str, now: datetime, policy: Policy) -> None:
        """Queue for a channel what nobody acknowledged in time; what was told together stays together."""
        with self._file.transaction() as connection:
            tellings.pass_on(connection, channel, now, policy)

    def alert_delivered(self, alert_id: int, at: datetime, escalate_at: datetime | None = None) -> None:
        """Note that a channel took an alert or a digest, and when it is passed on if nobody acknowledges it."""
        self._settle(alert_id, state="delivered", delivered_at=at, last_error="", escalate_at=escalate_at)

    def alert_failed(self, alert_id: int, error: str, next_try_at: datetime) -> None:
        """Record that a channel did not take an alert, and when to try again."""
        with self._file.transaction() as connection:
            outbox.settle(connection, alert_id, last_error=error, next_try_at=next_try_at)

    def alert_dead(self, alert_id: int, error: str) -> None:
        """Mark an alert as given up: it stays in the ledger with its last error."""
        self._settle(alert_id, state="dead", last_error=error)

    def retry_alerts(self, channel: str, now: datetime) -> None:
        """Make all waiting alerts of a channel due: it takes alerts again."""
        with self._file.transaction() as connection:
            outbox.make_due(connection, channel, now)

    def snooze_alerts(self, target: str, until: datetime | None, now: datetime) -> None:
        """Hold a target's alerts until a time, ``None``: no longer; "" stands for every target."""
        with self._file.transaction() as connection:
            tellings.snooze(connection, target, until, now)

    def acknowledge_alerts(self, ids: Iterable[int], now: datetime) -> int:
        """Note that somebody has seen alerts; returns how many rows that are, on all channels together."""
        with self._file.transaction() as connection:
            return tellings.acknowledge(connection, ids, now)

    def retry_dead_alerts(self, ids: Iterable[int] | None, now: datetime) -> int:
        """Try alerts again that were given up or wait for a later try, ``None``: all of them; returns how many."""
        with self._file.transaction() as connection:
            return tellings.retry(connection, ids, now)

    def _settle(self, alert_id: int, **values: object) -> None:
        with self._file.transaction() as connection:
            outbox.settle(connection, alert_id, **values)
