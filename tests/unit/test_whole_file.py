from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from emwatch.classify.bundles.store import BundleStore
from emwatch.ledger.care.backups import make_backup
from emwatch.ledger.file_lock import FileLock, make_private
from emwatch.ledger.writer import Ledger
from emwatch.service.inbox import leave
from emwatch.service.lock import SingleInstance
from emwatch.whole_file import check_writable, give_to_owner, written_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    with written_whole(path) as made:
        made.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"

    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    def fail() -> None:
        with written_whole(path) as made:
            made.write_text("half", encoding="utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_takes_the_name_of_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refuse(*_paths: Path) -> None:
        raise PermissionError(errno.EPERM, "this file system has no hard links")

    if not links:
        monkeypatch.setattr(os, "link", refuse)

    def write(text: str) -> None:
        with written_whole(tmp_path / "file", new=True) as made:
            made.write_text(text, encoding="utf-8")

    write("first")
    with pytest.raises(FileExistsError) as refused:
        write("second")

    assert refused.value.filename == str(tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "first"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_the_other_name_ends_as_a_library_insists(tmp_path: Path) -> None:
    with written_whole(tmp_path / "best.weights.h5", suffix=".weights.h5") as made:
        assert made.name.endswith(".weights.h5")
        made.touch()


def test_a_directory_that_takes_files_or_can_be_made_is_writable(tmp_path: Path) -> None:
    check_writable(tmp_path)
    check_writable(tmp_path / "new" / "below")
    assert list(tmp_path.iterdir()) == []


def test_what_lies_below_a_file_is_not_writable_and_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="/file'"):
            check_writable(directory)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_of_others_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="/theirs'"):
        check_writable(tmp_path / "theirs" / "below")


@pytest.mark.parametrize("named", [False, True])
def test_what_cannot_be_written_is_called_by_the_name_that_was_asked_for(tmp_path: Path, named: bool) -> None:
    path = tmp_path / "sheet.png"

    def fail() -> None:
        with written_whole(path) as made:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *((os.fspath(made),) if named else ()))

    with pytest.raises(OSError, match="No space left on device") as raised:
        fail()

    assert raised.value.filename == os.fspath(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
class TestOwner:
    """What root does beside a ledger: `sudo emwatch note` left a folder that the service could read and never empty."""

    @pytest.fixture(name="state")
    def _state(self, tmp_path: Path) -> Path:
        folder = tmp_path / "state"
        folder.mkdir()
        os.chown(folder, 65534, 65533)
        return folder

    @staticmethod
    def _record(state: Path) -> None:
        with Ledger(state / "ledger.sqlite3"):
            pass

    @pytest.mark.parametrize(
        "act",
        [
            lambda state: leave(state / "ledger.sqlite3.entries", {}, NOW),
            lambda state: (state / "old").mkdir() or leave(state / "old", {}, NOW),
            lambda state: BundleStore(state / "models")._make(),
            lambda state: SingleInstance(state / "new" / "ledger.sqlite3").acquire(),
            _record,
            lambda state: TestOwner._record(state) or make_backup(state / "ledger.sqlite3", state / "backups", NOW),
        ],
        ids=["request", "folder of before", "models", "lock", "ledger", "backup"],
    )
    def test_what_root_makes_belongs_to_whom_the_folder_belongs(
        self, state: Path, act: Callable[[Path], object]
    ) -> None:
        act(state)

        made = list(state.rglob("*"))
        assert made
        assert {(each.stat().st_uid, each.stat().st_gid) for each in made} == {(65534, 65533)}

    def test_a_file_with_a_second_name_and_the_target_of_a_link_stay_roots(self, tmp_path: Path, state: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("root's", encoding="utf-8")
        os.link(secret, state / "second name")
        (state / "link").symlink_to(secret)
        give_to_owner(state / "second name")
        give_to_owner(state / "link")

        assert secret.stat().st_uid == 0

    def test_the_target_of_a_ledger_that_is_a_link_stays_roots(self, tmp_path: Path, state: Path) -> None:
        secret = tmp_path / "secret"
        secret.touch()
        (state / "ledger.sqlite3").symlink_to(secret)
        FileLock().take(state / "ledger.sqlite3")
        make_private(state / "ledger.sqlite3")

        assert secret.stat().st_uid == 0


def test_what_is_written_goes_nowhere_else_through_a_link_that_was_left_there(tmp_path: Path) -> None:
    victim = tmp_path / "passwd"
    victim.write_text("root:x:0:0", encoding="utf-8")
    (tmp_path / f".sheet.png.{os.getpid()}").symlink_to(victim)
    with written_whole(tmp_path / "sheet.png") as made:
        made.write_text("drawn", encoding="utf-8")

    assert victim.read_text(encoding="utf-8") == "root:x:0:0"
    assert (tmp_path / "sheet.png").read_text(encoding="utf-8") == "drawn"
    assert not (tmp_path / "sheet.png").is_symlink()
