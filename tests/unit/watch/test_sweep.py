"""The sweep: what is in the directory, whatever it is called, and nothing outside it."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path, PurePosixPath
from typing import Literal
from unicodedata import normalize

import pytest

from emwatch.errors import WatchError
from emwatch.filesystem import file_system_type, lacks_events
from emwatch.watch.patterns import Patterns, frames_beside
from emwatch.watch.sweep import stat_key_of, sweep

EVERYTHING = Patterns()


def found(root: Path, patterns: Patterns = EVERYTHING, **options: object) -> list[str]:
    return [
        (listing.folder / name).relative_to(root).as_posix()
        for listing in sweep(root, patterns, **options)  # type: ignore[arg-type]
        for name in listing.files
    ]


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_files_are_found_in_folders_of_any_depth_up_to_the_limit(tmp_path: Path) -> None:
    write(tmp_path / "a.tif")
    write(tmp_path / "day" / "b.tif")
    write(tmp_path / "day" / "hour" / "c.tif")

    assert found(tmp_path) == ["a.tif", "day/b.tif", "day/hour/c.tif"]
    assert found(tmp_path, max_depth=1) == ["a.tif", "day/b.tif"]
    assert found(tmp_path, recursive=False) == ["a.tif"]
    assert found(tmp_path, start=tmp_path / "day") == ["day/b.tif", "day/hour/c.tif"]


@pytest.mark.parametrize(
    "name", [b"\xb5m.tif", "試料１.tif".encode(), b"-rf.tif", b"a\nb.tif", b"[red]x.tif", b" .tif"]
)
def test_odd_names_are_found_like_any_other(tmp_path: Path, name: bytes) -> None:
    path = write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)))

    assert found(tmp_path) == [path.name]
    assert stat_key_of(path, tmp_path, EVERYTHING) is not None


def test_links_out_of_the_root_in_circles_or_nowhere_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "frames"
    inside = write(root / "real.tif")
    outside = write(tmp_path / "elsewhere" / "secret.tif")
    (root / "inside.tif").symlink_to(inside)
    (root / "outside.tif").symlink_to(outside)
    (root / "dangling.tif").symlink_to(root / "nothing")
    (root / "circle.tif").symlink_to(root / "circle.tif")
    (root / "loop").symlink_to(root, target_is_directory=True)

    assert found(root) == ["inside.tif", "real.tif"]
    assert stat_key_of(root / "outside.tif", root, EVERYTHING) is None
    [listing] = sweep(root, EVERYTHING)
    assert listing.trouble.endswith("are not followed: outside.tif")


def test_a_pipe_or_socket_is_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.tif")

    assert found(tmp_path) == []
    assert stat_key_of(tmp_path / "x.tif", tmp_path, EVERYTHING) is None


def test_an_unavailable_root_is_an_error_and_not_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(WatchError, match="not available"):
        list(sweep(tmp_path / "share", EVERYTHING))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_without_permission_costs_only_itself(tmp_path: Path) -> None:
    write(tmp_path / "closed" / "a.tif")
    write(tmp_path / "open" / "b.tif")
    (tmp_path / "closed").chmod(0)
    try:
        listings = list(sweep(tmp_path, EVERYTHING))
    finally:
        (tmp_path / "closed").chmod(0o700)

    assert [each.folder.name for each in listings if each.trouble] == ["closed"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("a.tif", True),
        ("A.TIF", True),
        ("day/a.tif", True),
        (".hidden.tif", False),
        ("a.TMP", False),
        ("@eaDir/a.tif", False),
        ("day/@eaDir/a.tif", False),
        ("trash/old/a.tif", False),
        ("kept/trash/a.tif", True),
    ],
)
def test_exclusions_hold_for_names_folders_and_paths(path: str, wanted: bool) -> None:
    patterns = Patterns(exclude=(".*", "*.tmp", "@eaDir", "trash/*"))

    assert patterns.wants_file(PurePosixPath(path)) is wanted


def test_only_included_names_are_wanted() -> None:
    patterns = Patterns(include=("*.tif", "*.tiff"))

    assert patterns.wants_file(PurePosixPath("day/a.TIFF"))
    assert not patterns.wants_file(PurePosixPath("a.txt"))
    assert patterns.wants_folder(PurePosixPath("day"))


def test_the_file_system_is_that_of_the_deepest_mount_above(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "40 22 0:40 / /mnt/sem\\040share rw,relatime shared:1 - cifs //sem/data rw\n"
        "41 22 0:41 / /mnt/sem\\040share/local rw - ext4 /dev/vdb rw\n"
        "garbage\n",
        encoding="utf-8",
    )

    assert file_system_type(Path("/home/x"), table) == "ext4"
    assert file_system_type(Path("/mnt/sem share/today"), table) == "cifs"
    assert file_system_type(Path("/mnt/sem share/local"), table) == "ext4"
    assert file_system_type(Path("/mnt/sem"), table) == "ext4"
    assert file_system_type(Path("/"), tmp_path / "missing") == ""


@pytest.mark.parametrize(("kind", "lacking"), [("cifs", True), ("nfs4", True), ("fuse.sshfs", True), ("ext4", False)])
def test_network_file_systems_lack_events(kind: str, lacking: bool) -> None:
    assert lacks_events(kind) is lacking


def test_one_entry_that_cannot_be_looked_at_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.tif")
    write(tmp_path / "stale.tif")
    write(tmp_path / "z.tif")
    real = os.lstat

    def stale(path: str | Path) -> os.stat_result:
        if os.fspath(path).endswith("stale.tif"):
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path)

    monkeypatch.setattr(os, "lstat", stale)
    [listing] = sweep(tmp_path, EVERYTHING)

    assert sorted(listing.files) == ["a.tif", "z.tif"]
    assert "stale.tif: cannot be looked at: Stale file handle" in listing.trouble


def test_a_large_folder_comes_in_pieces_and_each_file_once(tmp_path: Path) -> None:
    names = {f"{number:04}.tif" for number in range(1200)}
    for name in names:
        (tmp_path / name).touch()
    listings = list(sweep(tmp_path, EVERYTHING))
    listed = [name for listing in listings for name in listing.files]

    assert max(len(listing.files) for listing in listings) <= 500
    assert sorted(listed) == sorted(names)


def test_a_folder_of_unwanted_files_only_is_there_and_not_empty(tmp_path: Path) -> None:
    write(tmp_path / "notes.txt")
    [listing] = sweep(tmp_path, Patterns(include=("*.tif",)))

    assert (listing.folder, dict(listing.files), listing.empty) == (tmp_path, {}, False)


def test_a_large_folder_takes_little_memory_while_it_is_swept(tmp_path: Path) -> None:
    for number in range(5000):
        (tmp_path / f"frame_{number:06}.tif").touch()
    tracemalloc.start()
    try:
        assert sum(len(listing.files) for listing in sweep(tmp_path, EVERYTHING)) == 5000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2_000_000  # entries that have been looked at take three times that, and grow with the session


def test_a_folder_hinted_below_the_depth_limit_is_not_entered(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "f.tif")

    assert found(tmp_path, start=tmp_path / "sub", recursive=False) == []
    assert found(tmp_path, start=tmp_path / "sub", max_depth=1) == ["sub/f.tif"]


def test_what_cannot_be_told_of_a_file_is_not_taken_for_gone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        stat_key_of(tmp_path / ("x" * 300 + ".tif"), tmp_path, EVERYTHING)


@pytest.mark.parametrize(
    ("sidecar", "frames"),
    [
        ("a.txt", {"a.tif", "a.bmp", "a.jpg"}),
        ("a.jpg.txt", {"a.jpg"}),
        ("a.tif.hdr", {"a.tif"}),
        ("a-tif.hdr", {"a.tif"}),
        ("a.tsv", set()),
        (".txt", set()),
    ],
)
def test_a_sidecar_names_the_frames_it_may_belong_to(sidecar: str, frames: set[str]) -> None:
    names = {path.name for path in frames_beside(Path("/f") / sidecar)}

    assert frames <= names
    assert bool(frames) == bool(names)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_pattern_fits_a_name_however_its_letters_are_composed(form: Literal["NFC", "NFD"]) -> None:
    """macOS takes an umlaut apart; whoever writes the configuration cannot see which of both stands there."""
    name, folder = (normalize(form, each) for each in ("Gr\u00f6\u00dfe [1].tif", "\u00c5rhus"))

    for pattern in ("GR\u00d6SSE*", "gro\u0308\u00dfe [1].tif", "\u00e5rhus/*"):
        patterns = Patterns(include=(pattern,), exclude=())
        assert patterns.wants_file(PurePosixPath(folder, name)), pattern
        assert not patterns.wants_file(PurePosixPath("Odense", "Vejle.tif"))
        assert not Patterns(exclude=(pattern,)).wants_file(PurePosixPath(folder, name)), pattern
    assert not Patterns(exclude=("\u00e5rhus",)).wants_folder(PurePosixPath(folder))
