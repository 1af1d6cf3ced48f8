"""One look at a file: whole, steady and a regular file, or an error that says why not."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emwatch import errors
from emwatch.frame import StatKey
from emwatch.readers.raw_frame import sidecar_beside
from emwatch.readers.sandbox.snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX file system")


def _read(descriptor: int, size: int) -> bytes:
    return os.read(descriptor, size + 1)


def test_a_snapshot_has_the_bytes_their_hash_and_the_stat_key(written: Callable[..., Path]) -> None:
    path = written(b"abc")

    snapshot = take_snapshot(path, 100)

    assert (snapshot.data, snapshot.sha256) == (b"abc", hashlib.sha256(b"abc").hexdigest())
    assert snapshot.stat_key == StatKey.of(path.stat())


def test_reading_leaves_the_file_as_it_is(written: Callable[..., Path]) -> None:
    path = written(b"abc")
    os.utime(path, ns=(1_000_000_000, 1_000_000_000))
    before = path.stat()

    take_snapshot(path, 100)

    assert (before.st_mtime_ns, before.st_ctime_ns) == (path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    if hasattr(os, "O_NOATIME"):
        assert before.st_atime_ns == path.stat().st_atime_ns


def test_a_file_without_bytes_is_empty(written: Callable[..., Path]) -> None:
    with pytest.raises(errors.Empty, match=r"frame\.tif: has no bytes"):
        take_snapshot(written(b""), 100)


def test_a_file_that_is_not_there_has_vanished(tmp_path: Path) -> None:
    with pytest.raises(errors.Vanished, match=r"x\.tif"):
        take_snapshot(tmp_path / "x.tif", 100)


def test_a_file_whose_folder_became_a_file_has_vanished(written: Callable[..., Path]) -> None:
    with pytest.raises(errors.Vanished, match="folder is gone"):
        take_snapshot(written(b"abc") / "x.tif", 100)


def test_a_file_above_the_limit_is_not_read(written: Callable[..., Path]) -> None:
    def read(_descriptor: int, _size: int) -> bytes:
        pytest.fail("it was read")

    with pytest.raises(errors.TooLarge, match=r"101 bytes.* or raise watch\.max_frame_mb"):
        take_snapshot(written(b"x" * 101), 100, read=read)


@posix
def test_a_fifo_named_like_a_frame_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.tif")

    with pytest.raises(errors.NotAFrame, match="a FIFO"):
        take_snapshot(tmp_path / "x.tif", 100)


@posix
def test_a_socket_and_a_directory_and_a_device_are_no_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # socket names are short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("x.tif")
        for path in (Path("x.tif"), tmp_path, Path(os.devnull)):
            with pytest.raises(errors.NotAFrame):
                take_snapshot(path, 100)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (PermissionError(13, "in use by another process"), errors.Denied),
        (BlockingIOError(11, "leased"), errors.Denied),
        (OSError(5, "Input/output error"), errors.ReadFailed),
        (OSError(116, "Stale file handle"), errors.ReadFailed),
    ],
)
def test_what_the_system_refuses_is_told_apart_and_tried_again(
    written: Callable[..., Path], raised: OSError, expected: type[Exception]
) -> None:
    def read(_descriptor: int, _size: int) -> bytes:
        raise raised

    with pytest.raises(expected, match=raised.strerror) as caught:
        take_snapshot(written(b"abc"), 100, read=read)

    assert caught.value.retry_after_s == 10.0


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_denied(written: Callable[..., Path]) -> None:
    path = written(b"abc")
    path.chmod(0)

    with pytest.raises(errors.Denied):
        take_snapshot(path, 100)


def test_a_file_that_grows_while_it_is_read_is_unsteady(written: Callable[..., Path]) -> None:
    path = written(b"abc")

    def read(descriptor: int, size: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"d")
        return _read(descriptor, size)

    with pytest.raises(errors.Unsteady, match="3 bytes before, 4 read, 4 after"):
        take_snapshot(path, 100, read=read)


def test_a_file_whose_bytes_change_at_the_same_size_is_unsteady(written: Callable[..., Path]) -> None:
    path = written(b"abc")

    def read(descriptor: int, size: int) -> bytes:
        data = _read(descriptor, size)
        path.write_bytes(b"xyz")
        os.utime(path, ns=(1, 1))  # whatever the clock's tick, the time differs
        return data

    with pytest.raises(errors.Unsteady):
        take_snapshot(path, 100, read=read)


def test_a_read_that_ends_early_is_unsteady(written: Callable[..., Path]) -> None:
    with pytest.raises(errors.Unsteady, match="2 read"):
        take_snapshot(written(b"abc"), 100, read=lambda descriptor, _size: os.read(descriptor, 2))


def test_a_sidecar_is_found_beside_the_frame_and_nowhere_else(written: Callable[..., Path], tmp_path: Path) -> None:
    frame = written(b"abc")
    written(b"[MAIN]", "frame-tif.hdr")
    lookup = sidecar_beside(frame)

    found = lookup("frame-tif.hdr")
    assert found is not None
    assert found.data == b"[MAIN]"
    assert lookup("other.hdr") is None
    assert lookup(f"..{os.sep}{tmp_path.name}{os.sep}frame-tif.hdr") is None
