from __future__ import annotations

import io
import os
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.classify.bundles.archive import SUMS, unpack_archive, write_archive
from emwatch.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="archive")
def _archive(bundle_directory: Path, tmp_path: Path) -> Path:
    target = tmp_path / "bundle.zip"
    write_archive(bundle_directory, target)
    return target


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    return folder


def repacked(archive: Path, changes: dict[str, bytes | None], **options: Any) -> Path:
    """The archive with members exchanged, added (a name it does not have), or left out (``None``)."""
    with zipfile.ZipFile(archive) as old:
        contents: dict[str, bytes | None] = {each: old.read(each) for each in old.namelist()}
    with zipfile.ZipFile(archive, "w", **options) as new:
        for name, content in (contents | changes).items():
            if content is not None:
                new.writestr(name, content)
    return archive


def test_an_archive_gives_back_the_very_files(archive: Path, bundle_directory: Path, folder: Path) -> None:
    unpack_archive(archive, folder)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in bundle_directory.iterdir()
    }


def test_the_same_bundle_gives_the_same_bytes(archive: Path, bundle_directory: Path, tmp_path: Path) -> None:
    for path in bundle_directory.iterdir():
        os.utime(path, (1, 1))
    sha256 = write_archive(bundle_directory, tmp_path / "again.zip")

    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    assert len(sha256) == 64


def test_a_directory_and_a_file_that_is_no_archive_are_not_written_over(bundle_directory: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("of a year", encoding="utf-8")

    with pytest.raises(ModelError, match=r"notes\.txt is there, and no zip"):
        write_archive(bundle_directory, notes)
    with pytest.raises(ModelError, match="is a directory"):
        write_archive(bundle_directory, tmp_path)
    with pytest.raises(ModelError, match="is a directory"):
        write_archive(bundle_directory, type(tmp_path)("/"))
    assert notes.read_text(encoding="utf-8") == "of a year"


def test_a_bundle_that_is_not_whole_is_not_exported(bundle_directory: Path, tmp_path: Path) -> None:
    os.truncate(bundle_directory / "head.npz", 5)

    with pytest.raises(ModelError, match=r"head\.npz is not the file"):
        write_archive(bundle_directory, tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "sub/card.yaml", "..\\evil"])
def test_a_name_that_is_no_file_of_a_bundle_is_refused_and_nothing_is_written(
    archive: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    repacked(archive, {name: b"evil"})
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(ModelError, match=r"no archive of 'emwatch model export'"):
        unpack_archive(archive, folder)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive, "a") as twice:
        twice.writestr("card.yaml", b"name: another")

    with pytest.raises(ModelError, match="no archive of"):
        unpack_archive(archive, folder)


@pytest.mark.parametrize("name", ["card.yaml", "backbone.tflite", "head.npz", SUMS])
def test_a_missing_member_is_refused(archive: Path, folder: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"expected card.yaml, backbone.tflite, head.npz, SHA256SUMS"):
        unpack_archive(repacked(archive, {name: None}), folder)


def test_a_changed_member_is_refused_by_the_sums(archive: Path, folder: Path) -> None:
    with pytest.raises(ModelError, match="its files are not those that SHA256SUMS names"):
        unpack_archive(repacked(archive, {"head.npz": b"another head"}), folder)


def test_a_member_that_unpacks_to_far_more_than_it_should_is_refused(archive: Path, folder: Path) -> None:
    bomb = repacked(archive, {"card.yaml": b"#" * 50_000_000}, compression=zipfile.ZIP_DEFLATED)

    with pytest.raises(ModelError, match=r"card\.yaml is larger than 262144 bytes"):
        unpack_archive(bomb, folder)


def test_a_list_of_a_hundred_thousand_members_is_refused_unread(tmp_path: Path, folder: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(200):
            archive.writestr(f"{number:04}", b"")
    for name, content in {
        "many.zip": file.getvalue(),
        "tail.zip": b"PK\x06\x07" + bytes(16) + file.getvalue()[-22:],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match="lists more members than"):
            unpack_archive(tmp_path / name, folder)


@pytest.mark.parametrize("kept", [0, 10, 21, 1000])
def test_a_truncated_archive_is_refused(archive: Path, folder: Path, kept: int) -> None:
    os.truncate(archive, kept)

    with pytest.raises(ModelError, match=r"bundle\.zip cannot be read as a bundle's archive"):
        unpack_archive(archive, folder)
    assert list(folder.iterdir()) == []


def test_a_flipped_bit_in_the_data_is_refused(archive: Path, folder: Path) -> None:
    content = bytearray(archive.read_bytes())
    at = content.index(b"no graph, only bytes")
    content[at] ^= 1
    archive.write_bytes(content)

    with pytest.raises(ModelError, match="CRC"):
        unpack_archive(archive, folder)


def test_an_encrypted_member_is_refused(archive: Path, folder: Path) -> None:
    content = bytearray(archive.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.index(mark)
        struct.pack_into("<H", content, start + at, 1)
    archive.write_bytes(content)

    with pytest.raises(ModelError, match="cannot be read as a bundle's archive"):
        unpack_archive(archive, folder)


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
def test_pipes_links_and_files_open_to_everyone_are_refused(archive: Path, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(archive)
    for name, told in (("pipe", "not a regular file"), ("link", "cannot be opened"), ("nothing", "no such file")):
        with pytest.raises(ModelError, match=told):
            unpack_archive(tmp_path / name, folder)
    archive.chmod(0o666)
    with pytest.raises(ModelError, match="may be changed by every user"):
        unpack_archive(archive, folder)
