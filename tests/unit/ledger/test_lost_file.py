"""A ledger deleted, moved, replaced or opened under two names while it is in use: nothing is lost, nobody writes beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch.errors import LedgerError
from emwatch.frame import StatKey
from emwatch.ledger.care.backups import make_backup
from emwatch.ledger.care.replacement import set_aside_files
from emwatch.ledger.query import LedgerReader
from emwatch.ledger.sqlite_file import LedgerDamagedError
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.frame import Outcome
    from tests.forked import ForkServer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Opens a ledger for writing, records nothing, and says what came of it.
OPEN = """
import sys
from pathlib import Path
from emwatch.errors import EmwatchError
from emwatch.ledger.writer import Ledger
from emwatch.service.lock import SingleInstance
try:
    lock = SingleInstance(Path(sys.argv[1])); lock.acquire()
    with Ledger(Path(sys.argv[1])):
        print("opened")
except EmwatchError as error:
    print(error)
"""


def record(ledger: Ledger, frame_of: Callable[..., Outcome], number: int, *, key: StatKey | None = None) -> int:
    return ledger.record(frame_of(f"/acq/{number}.tif", str(number), targets=("t",), key=key), NOW).alerts


def fill(ledger: Ledger, frame_of: Callable[..., Outcome]) -> None:
    for number in range(30):
        assert record(ledger, frame_of, number) == 1
    for alert in ledger.due_alerts("terminal", NOW, 1000):
        ledger.alert_delivered(alert.id, NOW)


def found_in(path: Path) -> tuple[int, int]:
    """Frames and delivered alerts, as another program sees them."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (frames,) = connection.execute("SELECT count(*) FROM frames").fetchone()
        (told,) = connection.execute("SELECT count(*) FROM alerts WHERE state = 'delivered'").fetchone()
        return frames, told


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


FAULTS: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "deleted with what is beside it": lambda path: [beside(path, each).unlink() for each in ("", "-wal", "-shm")],
    "moved": lambda path: path.rename(beside(path, ".old")),
    "its folder deleted": lambda path: shutil.rmtree(path.parent),
    "its folder moved": lambda path: path.parent.rename(beside(path.parent, ".old")),
    "its -wal deleted": lambda path: beside(path, "-wal").unlink(),
    "its -shm deleted": lambda path: beside(path, "-shm").unlink(),
    "its -wal replaced": lambda path: beside(path, "-wal.new").rename(beside(path, "-wal")),
    "replaced by a letter": lambda path: beside(path, "-wal.new").rename(path),
    "replaced by an empty file": lambda path: (beside(path, ".new").touch(), beside(path, ".new").rename(path)),
    "replaced by a damaged copy": lambda path: beside(path, ".cut").rename(path),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_file_lost_while_open_is_written_again_whole_and_told_once(
    tmp_path: Path, frame_of: Callable[..., Outcome], fault: Callable[[Path], object]
) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    with Ledger(path) as ledger:
        fill(ledger, frame_of)
        beside(path, "-wal.new").write_bytes(b"a letter of somebody" * 500)
        beside(path, ".cut").write_bytes(path.read_bytes()[:20_000])
        fault(path)
        assert record(ledger, frame_of, 30) == 1
        [told] = ledger.take_news()
        assert "deleted, moved or replaced" in told
        assert found_in(path) == (31, 30)
        assert [record(ledger, frame_of, number) for number in (0, 30)] == [0, 0]
        assert ledger.take_news() == []
    assert found_in(path) == (31, 30)
    with Ledger(path) as again:
        assert again.replaced is None


def test_it_is_found_without_a_transaction(tmp_path: Path, frame_of: Callable[..., Outcome]) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        fill(ledger, frame_of)
        path.unlink()
        ledger.check_place()
        assert found_in(path) == (30, 30)


def test_another_ledger_in_its_place_is_used_and_old_frames_raise_no_alert(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        record(ledger, frame_of, 7)
        backup = make_backup(path, tmp_path / "backups", NOW)
        fill_from = datetime.now(UTC) - timedelta(hours=1)
        old = StatKey(1000, int(fill_from.timestamp() * 1e9), int(fill_from.timestamp() * 1e9), 7)
        record(ledger, frame_of, 8, key=old)
        for alert in ledger.due_alerts("terminal", NOW, 1000):
            ledger.alert_delivered(alert.id, NOW)
        assert backup is not None
        backup.replace(path)
        assert record(ledger, frame_of, 8, key=old) == 0
        [told] = ledger.take_news()
        [aside] = set_aside_files(path)
        assert aside.name in told
        assert found_in(path) == (2, 0)
        assert found_in(aside) == (2, 2)
        assert ledger.unrepaired() == (aside,)


def test_a_link_that_leads_elsewhere_is_followed_and_nothing_told_twice(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path, first, second = tmp_path / "ledger", tmp_path / "2026-11" / "a.sqlite", tmp_path / "2026-12" / "b.sqlite"
    first.parent.mkdir()
    path.symlink_to(first)
    with Ledger(path) as ledger:
        fill(ledger, frame_of)
        assert found_in(first) == (30, 30)
        (tmp_path / "new").symlink_to(second)
        (tmp_path / "new").rename(path)
        assert record(ledger, frame_of, 0) == 0
        assert record(ledger, frame_of, 30) == 1
        assert len(ledger.take_news()) == 1
    assert path.is_symlink()
    assert found_in(second) == (31, 30)
    assert found_in(first) == (30, 30)


def test_while_it_cannot_be_written_again_what_is_open_stays_and_the_next_try_succeeds(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    with Ledger(path) as ledger:
        fill(ledger, frame_of)
        shutil.rmtree(path.parent)
        path.parent.write_bytes(b"in the way")
        for _ in range(2):
            with pytest.raises(LedgerError):
                record(ledger, frame_of, 30)
        path.parent.unlink()
        record(ledger, frame_of, 30)
        assert found_in(path) == (31, 30)


def test_what_is_open_and_cannot_be_read_any_more_is_begun_again_as_after_damage(
    tmp_path: Path, frame_of: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        fill(ledger, frame_of)
        path.unlink()

        def damaged(*_arguments: object) -> None:
            raise LedgerDamagedError("the disk is bad")

        monkeypatch.setattr("emwatch.ledger.care.replacement.write_out", damaged)
        old = StatKey(1, 1, 1, 1)
        assert record(ledger, frame_of, 0, key=old) == 0
        assert len(ledger.take_news()) == 2
        assert found_in(path) == (1, 0)


@pytest.fixture(name="opened_as")
def _opened_as(forks: ForkServer) -> Callable[[Path], str]:
    return lambda path: forks.run([path], script=OPEN).stdout


@pytest.mark.parametrize("name", ["symbolic", "hard", "symbolic elsewhere", "hard elsewhere", "lock deleted"])
def test_a_ledger_in_use_is_opened_for_writing_under_no_other_name(
    tmp_path: Path, frame_of: Callable[..., Outcome], opened_as: Callable[[Path], str], name: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        fill(ledger, frame_of)
        other = tmp_path / ("other/ledger.sqlite" if "elsewhere" in name else "link.sqlite")
        other.parent.mkdir(exist_ok=True)
        if name == "lock deleted":
            other = path
        elif "symbolic" in name:
            other.symlink_to(path)
        else:
            other.hardlink_to(path)
        assert ("is a hard link" if "hard" in name else "only one may write a ledger") in opened_as(other)
        record(ledger, frame_of, 30)
    assert found_in(path) == (31, 30)
    assert ("is a hard link" if "hard" in name else "opened\n") in opened_as(other)
    assert opened_as(path) == "opened\n"


def test_a_killed_writer_leaves_no_lock(tmp_path: Path, opened_as: Callable[[Path], str]) -> None:
    path = tmp_path / "ledger.sqlite"
    code = OPEN.replace('print("opened")', 'print("opened", flush=True); sys.stdin.read()')
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"opened\n"
        assert "another emwatch" in opened_as(path)
        writer.kill()
        writer.wait()
    assert opened_as(path) == "opened\n"


#: Counts rows as a user without any right in the ledger's folder.
COUNT = """
import os, sys
from pathlib import Path
from sqlalchemy import create_engine
from emwatch.errors import EmwatchError
from emwatch.ledger.query import LedgerReader
create_engine("sqlite://").connect().exec_driver_sql("SELECT 1")  # what it imports may lie in a home of root's
os.chdir("/")
os.setgid(65534); os.setuid(65534)
try:
    with LedgerReader(Path(sys.argv[1])) as reader:
        print(reader.count())
except EmwatchError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to become another user")
@pytest.mark.parametrize("name", ["its own", "symbolic", "hard"])
@pytest.mark.parametrize("writer", ["at work", "killed", "closed"])
def test_a_reader_without_the_right_to_write_sees_every_row_or_is_refused(
    frame_of: Callable[..., Outcome], forks: ForkServer, name: str, writer: str
) -> None:
    # Not below pytest's folders, which other users may not enter.
    folder = Path("/tmp") / f"emwatch-reader-{os.getpid()}"
    folder.mkdir(mode=0o755)
    path = folder / "state" / "ledger.sqlite"
    try:
        with Ledger(path) as ledger:
            fill(ledger, frame_of)
            path.chmod(0o644)
            for each in ("-wal", "-shm"):
                beside(path, each).chmod(0o644)
            if writer == "killed":
                shutil.copytree(path.parent, folder / "killed")
                path = folder / "killed" / path.name
            other = folder / "links" / "ledger"
            other.parent.mkdir()
            if name == "symbolic":
                other.symlink_to(path)
            elif name == "hard":
                other.hardlink_to(path)
            else:
                other = path
            if writer == "closed":
                ledger.close()
            done = forks.run([other], script=COUNT)
        expected = "is a hard link" if name == "hard" else "30\n"
        assert expected in done.stdout
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to become another user")
@pytest.mark.parametrize(("locked", "says"), [("file", "may not read the file itself"), ("folder", "the folder must")])
def test_what_another_user_may_not_read_is_named(
    frame_of: Callable[..., Outcome], forks: ForkServer, locked: str, says: str
) -> None:
    # Not below pytest's folders, which other users may not enter.
    folder = Path("/tmp") / f"emwatch-reader-{os.getpid()}"
    folder.mkdir(mode=0o755)
    path = folder / "ledger.sqlite"
    try:
        with Ledger(path) as ledger:
            fill(ledger, frame_of)
        path.chmod(0o600 if locked == "file" else 0o644)
        folder.chmod(0o700 if locked == "folder" else 0o755)
        assert says in forks.run([path], script=COUNT).stdout
    finally:
        shutil.rmtree(folder)


def test_a_hard_link_is_not_read_and_does_not_hinder_the_ledgers_own_name(
    tmp_path: Path, frame_of: Callable[..., Outcome]
) -> None:
    path = tmp_path / "ledger.sqlite"
    (tmp_path / "link").symlink_to(path)
    with Ledger(path) as ledger:
        fill(ledger, frame_of)
        (tmp_path / "hard").hardlink_to(path)
        with pytest.raises(LedgerError, match="is a hard link"):
            LedgerReader(tmp_path / "hard")
        with LedgerReader(tmp_path / "link") as reader:
            assert reader.count() == 30
    beside(path, ".lock").touch()  # as whoever writes it leaves it
    with LedgerReader(path) as reader:
        assert reader.count() == 30


@pytest.mark.timeout(20)
def test_a_pipe_as_ledger_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LedgerError, match="not a regular file"):
        Ledger(tmp_path / "pipe")


def test_files_are_kept_from_other_users(tmp_path: Path, frame_of: Callable[..., Outcome]) -> None:
    before = os.umask(0o022)
    try:
        path = tmp_path / "ledger.sqlite"
        with Ledger(path) as ledger:
            record(ledger, frame_of, 1)
            made = make_backup(path, tmp_path / "backups", NOW)
            assert made is not None
            for each in (path, beside(path, "-wal"), beside(path, "-shm"), made):
                assert not each.stat().st_mode & 0o027, each
            path.unlink()
            ledger.check_place()
            assert not path.stat().st_mode & 0o027
    finally:
        os.umask(before)
