from __future__ import annotations

import csv
import hashlib
import os
import resource
from typing import TYPE_CHECKING

import pytest

from emwatch.alerts.folder import TABLE, FolderChannel
from emwatch.config import load
from emwatch.errors import AlertError, ConfigError
from emwatch.testing import make_alert

if TYPE_CHECKING:
    from pathlib import Path


def rows(hits: Path) -> list[dict[str, str]]:
    with (hits / TABLE).open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


@pytest.mark.parametrize("how", ["copy", "hardlink", "symlink"])
def test_a_frame_is_gathered_beside_the_table(tmp_path: Path, how: str) -> None:
    frame = tmp_path / "a.tif"
    frame.write_bytes(b"pixels")
    channel = FolderChannel(tmp_path / "hits", how)  # type: ignore[arg-type]
    for _ in range(2):  # as after a crash
        channel.send(make_alert(path=frame, frame_id=7, magnification=5000.0))

    gathered = tmp_path / "hits" / "7-a.tif"
    assert gathered.read_bytes() == b"pixels"
    assert (gathered.is_symlink(), gathered.stat().st_ino == frame.stat().st_ino) == (how == "symlink", how != "copy")
    assert [(row["file"], row["magnification"]) for row in rows(tmp_path / "hits")] == [("7-a.tif", "5000.0")] * 2


def test_two_frames_of_one_name_are_two_files(tmp_path: Path) -> None:
    for number, folder in enumerate(("x", "y"), 1):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.tif").write_bytes(folder.encode())
        FolderChannel(tmp_path / "hits").send(make_alert(path=tmp_path / folder / "a.tif", frame_id=number))

    assert [(tmp_path / "hits" / name).read_bytes() for name in ("1-a.tif", "2-a.tif")] == [b"x", b"y"]


def test_a_frame_that_is_gone_and_a_message_without_a_frame_are_lines_alone(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    ledger.touch()
    FolderChannel(tmp_path / "hits").send(make_alert(path=tmp_path / "gone.tif"))
    FolderChannel(tmp_path / "hits").send(make_alert(path=ledger, frame_id=0, target="=cmd()"))

    assert [(row["file"], row["target"]) for row in rows(tmp_path / "hits")] == [("", "tips"), ("", "'=cmd()")]
    assert [each.name for each in (tmp_path / "hits").iterdir()] == [TABLE]


@pytest.mark.parametrize("folder", ["frames/hits", "frames", "link/hits"])
def test_a_folder_in_a_watched_directory_is_refused_when_it_is_configured(tmp_path: Path, folder: str) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "link").symlink_to("frames")
    text = f"watch: {{directory: frames}}\nalerts:\n  gather: {{kind: folder, folder: {folder}}}\n"
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"alerts\.gather: .* is in a watched directory, which is never written to"):
        load(tmp_path / "c.yaml", environ={}, user_file=tmp_path / "none", system_file=tmp_path / "none")


def test_content_that_came_since_is_not_gathered_for_the_frame_that_was_looked_for(tmp_path: Path) -> None:
    frame, pipe = tmp_path / "a.tif", tmp_path / "pipe.tif"
    frame.write_bytes(b"another frame by now")
    os.mkfifo(pipe)
    channel = FolderChannel(tmp_path / "hits")
    channel.send(make_alert(path=frame, sha256=hashlib.sha256(b"pixels").hexdigest()))
    channel.send(make_alert(path=pipe, frame_id=2))
    frame.write_bytes(b"pixels")
    channel.send(make_alert(path=frame, frame_id=3, sha256=hashlib.sha256(b"pixels").hexdigest()))

    assert [row["file"] for row in rows(tmp_path / "hits")] == ["", "", "3-a.tif"]


@pytest.mark.parametrize("room", [0, 10])
def test_a_full_disk_leaves_no_half_line(tmp_path: Path, room: int) -> None:
    channel, alert = FolderChannel(tmp_path / "hits"), make_alert(path=tmp_path / "gone.tif")
    channel.send(alert)
    size = (tmp_path / "hits" / TABLE).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
    try:
        with pytest.raises(AlertError, match="cannot be written"):
            channel.send(alert)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    channel.send(alert)

    first, second = rows(tmp_path / "hits")
    assert first == second


def test_a_table_that_a_person_changed_keeps_every_line(tmp_path: Path) -> None:
    channel, alert = FolderChannel(tmp_path / "hits"), make_alert(path=tmp_path / "gone.tif")
    channel.send(alert)
    table = tmp_path / "hits" / TABLE
    table.write_bytes(table.read_bytes().rstrip(b"\n"))
    channel.send(alert)

    assert [row["target"] for row in rows(tmp_path / "hits")] == ["tips", "tips"]
