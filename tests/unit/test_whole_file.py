from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from emwatch.whole_file import check_writable, written_whole

if TYPE_CHECKING:
    from pathlib import Path


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
