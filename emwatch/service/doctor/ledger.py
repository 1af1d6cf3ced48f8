"""The ledger: whether it can be written, is intact, and has a backup that is young enough."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from emwatch.errors import LedgerError
from emwatch.filesystem import crosses_network, file_system_type
from emwatch.frame import path_to_text
from emwatch.ledger.care import check as care
from emwatch.ledger.care.backups import backups_of, made_at
from emwatch.ledger.care.replacement import looks_like_ours
from emwatch.ledger.sqlite_file import connect_to_read, quick_check
from emwatch.service.doctor.finding import Checked, Finding, Level, NoAnswerError, answer_in_time, in_shell
from emwatch.service.doctor.space import existing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine

#: A check of a large ledger takes longer than other questions.
_LONGEST_CHECK_S: Final = 60.0
_LONGEST_LOOK_S: Final = 5.0
#: A backup may be late by this much: the daemon makes it when little is to be done, and was perhaps restarted.
_LATE: Final = 2.0
_SHORTEST_AGE: Final = timedelta(hours=25)


def check(config: Config, machine: Machine) -> Iterator[Checked]:
    """Check the ledger's folder, the ledger, and its backups."""
    ledger = config.ledger.path
    try:
        yield answer_in_time(lambda: _folder(ledger, machine), machine.patience_s)
        yield answer_in_time(lambda: _content(ledger, config.ledger.backups), _LONGEST_CHECK_S)
        if config.ledger.backup_every_hours > 0:
            yield answer_in_time(lambda: _backups(config, machine.now), machine.patience_s)
    except NoAnswerError:
        found = f"{path_to_text(ledger)}: no answer from its disk"
        mend = f"findmnt --target {in_shell(ledger.parent)}; put the ledger on a local disk: ledger.path"
        yield Checked("ledger", found, (Finding("ledger", Level.ERROR, found, "a disk that answers", mend),))


def _folder(ledger: Path, machine: Machine) -> Checked:
    findings = []
    place = existing(ledger.parent)
    name = path_to_text(place)
    why = _why_not_written(place)
    if not why and ledger.exists() and not os.access(ledger, os.R_OK | os.W_OK):
        why = f"{path_to_text(ledger)} may not be written by this user"
    if why:
        findings.append(
            Finding(
                "ledger.permission",
                Level.ERROR,
                f"{name}: {why}",
                "a folder that the user of emwatch may write to: the ledger, its lock and its backups lie there",
                f"sudo chown -R emwatch: {in_shell(place)}; for a disk that is read-only: sudo mount -o remount,rw "
                f"$(findmnt -no TARGET --target {in_shell(place)})",
            )
        )
    elif _is_anothers(ledger):
        findings.append(
            Finding(
                "ledger.permission",
                Level.NOTE,
                f"{path_to_text(ledger)} belongs to another user than the one who asks (root)",
                "the service's own user: what root makes beside the ledger, the service may not write",
                f"sudo -u $(stat -c %U {in_shell(ledger)}) emwatch doctor",
            )
        )
    kind = file_system_type(place, machine.mount_table)
    if crosses_network(kind):
        findings.append(
            Finding(
                "ledger.path",
                Level.WARNING,
                f"{path_to_text(ledger)} is on {kind}, a network share",
                "a local disk: a ledger on a share is slower, and is lost to emwatch while the network is down",
                "write in the configuration: ledger: {path: /var/lib/emwatch/ledger.sqlite3}; move the ledger there as "
                "`emwatch docs operations` says",
            )
        )
    return Checked("ledger.permission", f"{name} on {kind or 'an unknown file system'}", tuple(findings))


def _why_not_written(place: Path) -> str:
    """Return why a folder takes no file, by making one that is gone at once; "" if it takes one."""
    try:
        with tempfile.TemporaryFile(prefix=".emwatch-doctor-", dir=place):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _is_anothers(ledger: Path) -> bool:
    try:
        return hasattr(os, "geteuid") and os.geteuid() == 0 != ledger.stat().st_uid
    except OSError:
        return False


def _content(ledger: Path, backups: Path) -> Checked:
    if not ledger.exists():
        return Checked("ledger", f"{path_to_text(ledger)}: none yet, the first `emwatch run` makes it")
    mend = "systemctl stop emwatch && emwatch db repair && systemctl start emwatch"
    if ledger.is_dir():
        mend = "correct ledger.path, then: emwatch config check"
    elif not looks_like_ours(ledger, backups):  # `run` and `db repair` refuse it if it is damaged
        aside = ledger.with_name(f"{ledger.name}.damaged")
        mend = (
            f"give another path as `ledger.path`; if it was the ledger: mv {in_shell(ledger)} {in_shell(aside)} && "
            "systemctl restart emwatch"
        )
    try:
        checked = list(care.check(ledger))
    except (LedgerError, OSError) as error:
        finding = Finding("ledger", Level.ERROR, str(error), "a ledger that can be read", mend)
        return Checked("ledger", path_to_text(ledger), (finding,))
    findings = tuple(
        Finding("ledger", Level.ERROR, f"{each.problems[0]} ({len(each.problems)} in all)", each.what, mend)
        for each in checked
        if each.problems
    )
    return Checked("ledger", f"{path_to_text(ledger)}: {len(checked)} rules checked", findings)


def _backups(config: Config, now: datetime) -> Checked:
    ledger, folder = config.ledger.path, config.ledger.backups
    name = path_to_text(folder)
    if not ledger.exists():
        return Checked("backup", "none is needed yet")
    allowed = max(_SHORTEST_AGE, _LATE * timedelta(hours=config.ledger.backup_every_hours))
    expected = f"one of the last {allowed.total_seconds() / 3600:g} hours"
    mend = "emwatch db backup; is the daemon running, and has the disk of ledger.backup_directory room?"
    made = backups_of(ledger, folder)
    if not made:
        # The daemon makes the first one within its first day.
        began = _began(ledger)
        missing = Finding("backup", Level.WARNING, f"no backup in {name}", expected, mend)
        return Checked("backup", f"none in {name} yet", (missing,) if began and now - began > allowed else ())
    newest = made[-1]
    age = now - made_at(newest)
    fact = f"{path_to_text(newest)}, {age.total_seconds() / 3600:.0f} hours old"
    findings_of_it = []
    if age > allowed:
        found = f"the newest backup in {name} is {age.total_seconds() / 86400:.1f} days old"
        findings_of_it.append(Finding("backup", Level.WARNING, found, expected, mend))
    try:
        quick_check(newest, _LONGEST_LOOK_S)
    except (LedgerError, OSError) as error:
        findings_of_it.append(Finding("backup", Level.ERROR, str(error), "a backup that can be read", mend))
    return Checked("backup", fact, tuple(findings_of_it))


def _began(ledger: Path) -> datetime | None:
    """Return when the first row was recorded; ``None`` if there is none, or the ledger cannot be read."""
    try:
        with closing(connect_to_read(ledger)) as connection:
            (first,) = connection.execute("SELECT min(recorded_at) FROM frames").fetchone()
    except (sqlite3.Error, LedgerError):
        return None
    return None if first is None else datetime.fromisoformat(first)
