"""What the file promises: one writer, any number of readers, nothing committed is ever lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from emwatch.errors import LedgerError
from emwatch.frame import FrameState, Outcome, StatKey
from emwatch.ledger.care.backups import make_backup
from emwatch.ledger.care.salvage import Salvage
from emwatch.ledger.database import LedgerUnavailableError, writing_engine
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.sqlite_file import connect_to_read
from emwatch.ledger.writer import Ledger
from tests.counts import counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

WRITER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from emwatch.frame import FrameState, Match, Outcome, StatKey
from emwatch.ledger.writer import Ledger
with Ledger(Path(sys.argv[1])) as ledger:
    start = int(sys.argv[2])
    for number in range(start, start + 100_000):
        key = StatKey(number, time.time_ns(), time.time_ns(), number)
        match = Match("t", "why", ("terminal",))
        path = Path(f"/acq/{number}.tif")
        ledger.record(Outcome(path, FrameState.RECORDED, key, f"{number:064x}", matches=(match,)), datetime.now(UTC))
        print(number, flush=True)
"""

#: Ends in a transaction that has begun to change the file, as it does on a share, where there is no WAL.
CUT_OFF = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from emwatch.frame import FrameState, Outcome, StatKey
from emwatch.ledger import database
from emwatch.ledger.writer import Ledger
database.crosses_network = lambda kind: True
ledger = Ledger(Path(sys.argv[1]))
ledger.record(Outcome(Path("/acq/1.tif"), FrameState.RECORDED, StatKey(1, 1, 1, 1), "1" * 64), datetime.now(UTC))
with ledger._file.transaction() as connection:
    connection.exec_driver_sql("PRAGMA cache_size=1")
    connection.exec_driver_sql("UPDATE frames SET path = '/acq/wrong.tif'")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
    connection.exec_driver_sql(f"CREATE TABLE big AS {numbers} SELECT i, randomblob(1000) FROM n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_writer_is_set_up_to_lose_nothing(ledger: Ledger) -> None:
    with ledger._file.transaction() as connection:
        actual = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }

    assert actual == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_there_is_one_read_write_connection_whatever_the_threads(ledger: Ledger) -> None:
    seen: list[int] = []

    def look() -> None:
        with ledger._file.transaction() as connection:
            seen.append(id(connection.connection.driver_connection))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(seen) == 4
    assert len(set(seen)) == 1


def test_kill_9_loses_no_committed_row_and_restarting_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    told: list[int] = []
    for _ in range(3):
        start = (told[-1] if told else 0) + 1
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(start)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                told.append(int(line))
                if told[-1] - start >= 40:
                    writer.send_signal(signal.SIGKILL)
                    break
            told += [int(line) for line in writer.stdout if line.endswith("\n")]
        assert writer.returncode == -signal.SIGKILL

    with Ledger(path) as ledger, ledger._file.transaction() as connection:
        stored = set(connection.exec_driver_sql("SELECT inode FROM (SELECT size_bytes AS inode FROM frames)").scalars())
        counts = connection.exec_driver_sql(
            "SELECT (SELECT count(*) FROM frames), (SELECT count(*) FROM matches), (SELECT count(*) FROM alerts)"
        ).one()
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert set(told) <= stored
    assert len(stored - set(told)) <= 3  # committed, but killed before it could say so
    assert len(set(counts)) == 1


def test_a_file_killed_before_its_first_commit_is_an_empty_ledger(
    tmp_path: Path, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    with LedgerReader(path) as reader:
        assert (
            list(reader.rows()), reader.count(), reader.sessions(), reader.metadata(1), reader.scores(1),
        ) == ([], 0, (), None, {})  # fmt: skip
    with Ledger(path) as ledger:
        assert ledger.record(frame_of(), noon).new


def test_threads_take_turns_and_lose_no_update(
    ledger: Ledger, frame_of: Callable[..., Outcome], failure_of: Callable[..., Outcome], noon: datetime
) -> None:
    """Every thread reads and then writes the same row: a lost update would show in the number of attempts."""

    def work(thread: int) -> None:
        for number in range(25):
            ledger.record(frame_of(f"/acq/{thread}/{number}", f"{thread} {number}", targets=("t",)), noon)
            ledger.record(failure_of("/acq/shared"), noon)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    counters = counts(ledger.path)
    with LedgerReader(ledger.path) as reader:
        assert next(reader.rows(LogFilter(path="shared"))).attempts == 50
    assert (counters.frames, counters.hits, counters.failed, counters.waiting_alerts) == (50, 50, 1, 50)


def test_read_then_write_takes_the_write_lock_first(ledger: Ledger) -> None:
    """With a deferred BEGIN both would read 0 and one increment would be lost, or fail at once despite the timeout."""
    with ledger._file.transaction() as connection:
        connection.exec_driver_sql("SELECT 1")
        with (
            closing(sqlite3.connect(ledger.path, isolation_level=None, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")


def test_a_reader_sees_one_moment_while_the_writer_goes_on(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    for number in range(700):
        ledger.baseline(Path(f"/{number}"), [(Path(f"/acq/{number}"), frame_of().stat_key)], noon)  # type: ignore[list-item]
    wanted = LogFilter(states=(FrameState.BASELINE,))
    with LedgerReader(ledger.path) as reader:
        rows = reader.rows(wanted)
        next(rows)
        ledger.baseline(Path("/late"), [(Path("/acq/late"), frame_of().stat_key)], noon)  # type: ignore[list-item]

        assert sum(1 for _ in rows) == 699
        assert reader.count(wanted) == 701


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with (
        LedgerReader(ledger.path) as reader,
        reader._snapshot() as connection,
        pytest.raises(OperationalError, match="readonly"),
    ):
        connection.exec_driver_sql("DELETE FROM frames")


def test_a_closed_ledger_has_no_wal_and_says_that_it_is_closed(
    tmp_path: Path, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record(frame_of(), noon)
    ledger.close()
    ledger.close()

    assert [each.name for each in tmp_path.iterdir()] == ["ledger.sqlite"]
    with pytest.raises(LedgerError, match="was closed"):
        ledger.record(frame_of(), noon)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a database at all" * 100, "not a ledger, or damaged beyond recognition"), (None, "is a directory")],
    ids=["text", "directory"],
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(LedgerError, match=message):
        Ledger(path)

    assert content is None or content == path.read_bytes()


def _zeros(ledger: Path) -> None:
    ledger.write_bytes(b"\0" * 20_000)


def _junk(ledger: Path) -> None:
    ledger.write_bytes(b"\xa5junk" * 4000)


def _junk_with_a_wal(ledger: Path) -> None:
    _junk(ledger)
    ledger.with_name(f"{ledger.name}-wal").write_bytes(b"rest" * 100)


def _head_of_another_program(ledger: Path) -> None:
    ledger.unlink()
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("CREATE TABLE notes (id)")
    ledger.write_bytes(ledger.read_bytes()[:4096] + b"\xa5" * 4096)


@pytest.mark.parametrize("has_backup", [False, True], ids=["no backup", "backup"])
@pytest.mark.parametrize("spoil", [_zeros, _junk, _junk_with_a_wal, _head_of_another_program])
def test_what_readers_say_of_damage_is_what_the_writer_does(
    tmp_path: Path, noon: datetime, spoil: Callable[[Path], None], has_backup: bool
) -> None:
    path = tmp_path / "ledger.sqlite3"
    backups = tmp_path / "backups"
    backups.mkdir()
    with closing(Ledger(path, backups=backups)):
        if has_backup:
            make_backup(path, backups, noon)
    spoil(path)
    with pytest.raises(LedgerError) as told:
        LedgerReader(path)
    try:
        with closing(Ledger(path, backups=backups)) as begun:
            goes_on = begun.replaced is not None
    except LedgerError:
        goes_on = False

    always = "`emwatch run` moves a damaged one aside and goes on" in str(told.value)
    with_a_backup = "goes on if there is a backup, and refuses it if there is none" in str(told.value)
    assert goes_on == (always or (with_a_backup and has_backup))
    assert not (always and with_a_backup)


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE frames (id)")
    for program in (Ledger, LedgerReader):
        with pytest.raises(LedgerError, match="not an emwatch ledger"):
            program(path)


def test_a_ledger_that_is_not_there_cannot_be_read_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger here yet"):
        LedgerReader(tmp_path / "ledger.sqlite")

    assert list(tmp_path.iterdir()) == []


def test_a_ledger_locked_by_another_program_can_be_written_afterwards(
    tmp_path: Path, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    with Ledger(tmp_path / "ledger.sqlite", busy_timeout_ms=50) as ledger:
        with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(LedgerUnavailableError, match="locked by another program"):
                ledger.record(frame_of(), noon)
            assert ledger.known_files([Path("/acq/a.tif")]) == {}
            other.execute("ROLLBACK")

        assert ledger.record(frame_of(), noon).new


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr!r}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.fault
def test_a_full_disk_costs_nothing_that_was_committed_and_recording_goes_on_after(
    small_disk: Path, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    with Ledger(small_disk / "ledger.sqlite") as ledger:
        done = _record_until_full(ledger, frame_of, noon)
        before = counts(ledger.path)
        with pytest.raises(LedgerUnavailableError):
            ledger.record(frame_of(f"/acq/{done}", str(done), targets=("t",)), noon)
        ballast.unlink()
        after = ledger.record(frame_of(f"/acq/{done}", str(done), targets=("t",)), noon)

        assert (done, done, True) == (before.frames, before.waiting_alerts, after.new)
        with ledger._file.transaction() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert done + 1 == len(ledger.known_files([Path(f"/acq/{number}") for number in range(done + 1)]))


def _record_until_full(ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime) -> int:
    for done in range(2000):
        try:
            ledger.record(frame_of(f"/acq/{done}", str(done), targets=("t",)), noon)
        except LedgerUnavailableError as error:
            if "disk is full: free some space" not in str(error):
                raise
            return done
    pytest.fail("the disk was never full")


@pytest.mark.fault
def test_another_user_reads_a_ledger_in_a_folder_that_is_not_theirs(
    frame_of: Callable[..., Outcome], noon: datetime, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    folder = tmp_path_factory.mktemp("state")
    for each in (folder, folder.parent, folder.parent.parent):
        each.chmod(0o755)
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.record(frame_of(), noon)
    with LedgerReader(ledger.path) as reader:  # whatever is imported late is imported now: the other user could not
        assert reader.count() == 1
    while_open = _count_as_nobody(ledger.path)
    ledger.close()

    assert (while_open, _count_as_nobody(ledger.path)) == (1, 1)


def _count_as_nobody(path: Path) -> int:
    child = os.fork()
    if not child:
        try:
            os.setuid(65534)
            with LedgerReader(path) as reader:
                os._exit(reader.count())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is for POSIX")
def test_a_transaction_cut_off_without_a_wal_is_undone_at_the_next_start(tmp_path: Path, noon: datetime) -> None:
    path = tmp_path / "ledger.sqlite3"
    killed = subprocess.run([sys.executable, "-c", CUT_OFF, os.fspath(path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("ledger.sqlite3-journal").stat().st_size
    with pytest.raises(LedgerError, match="start `emwatch run`, it does so"):
        LedgerReader(path).count()

    with Ledger(path) as ledger:
        assert ledger.replaced is None
        assert ledger.record(Outcome(Path("/acq/2.tif"), FrameState.RECORDED, StatKey(2, 2, 2, 2), "2" * 64), noon).new
    assert {row.path for row in LedgerReader(path).rows()} == {Path("/acq/1.tif"), Path("/acq/2.tif")}


def _salvage(path: Path) -> None:
    with Salvage(path):
        raise AssertionError


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 8000], ids=["a text", "damaged"])
@pytest.mark.parametrize("opened", [_salvage, connect_to_read, lambda path: writing_engine(path).connect()])
def test_what_cannot_be_opened_is_closed_again(
    content: bytes, opened: Callable[[Path], object], tmp_path: Path
) -> None:
    (path := tmp_path / "ledger.sqlite3").write_bytes(content)

    with pytest.raises((LedgerError, OperationalError, DatabaseError, sqlite3.Error)) as caught:
        opened(path)

    still_open = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert caught.value is not None  # its frames, and what they hold, are alive
    assert [each for each in still_open if each.startswith(str(path))] == []
