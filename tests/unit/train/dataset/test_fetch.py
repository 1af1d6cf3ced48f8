from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from emwatch.errors import FetchError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.download import download
from emwatch.train.dataset.fetch import FetchOrder, fetch_category, label, planned
from emwatch.train.dataset.labelled import open_dataset
from emwatch.train.dataset.repository import ATTEMPTS, record_files
from emwatch.train.dataset.unpack import unpack

from .conftest import RECORD, Repository, add, archive_of, picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Program


class Pauses:
    """Waits for nothing, and remembers for how long it should have."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture(name="pauses")
def _pauses() -> Pauses:
    return Pauses()


def _nothing(done: int) -> None:
    pass


def _order(repository: Repository, out: Path, *categories: str) -> FetchOrder:
    return FetchOrder(out, repository.url, RECORD, categories or CATEGORIES)


def _fetch(order: FetchOrder, pauses: Pauses) -> dict[str, int]:
    return {
        name: fetch_category(order, name, remote, _nothing, pauses) for name, remote in planned(order, pauses).items()
    }


def _begun(out: Path) -> Path:
    """Name the part that an earlier run left."""
    (out / "ATTRIBUTION.txt").write_text("as an earlier run left it")
    return out / "Tips.tar.part"


def _content_requests(repository: Repository) -> list[str]:
    return [wanted for path, wanted in repository.asked if path.startswith("/content/")]


class TestWhole:
    @pytest.mark.parametrize("version", [2, 3])
    def test_all_categories_come_and_are_a_dataset_with_its_licence(
        self, repository: Repository, tmp_path: Path, pauses: Pauses, version: int
    ) -> None:
        repository.version = version
        repository.files = {f"{name}.tar": archive_of(name) for name in CATEGORIES} | {"README.txt": b"read me"}
        order = _order(repository, tmp_path / "out")

        assert _fetch(order, pauses) == dict.fromkeys(CATEGORIES, 3)
        assert label(order).total() == 30
        frames = open_dataset(tmp_path / "out")
        assert len(frames) == 30
        assert all("CC BY" in frame.licence and frame.open_licence for frame in frames)
        assert all(frame.grey().shape == (96, 128) for frame in frames)
        with (tmp_path / "out" / "labels.tsv").open(newline="") as file:
            assert next(csv.DictReader(file, delimiter="\t"))["file"].startswith("Biological/L")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
            [*CATEGORIES, "labels.tsv", "ATTRIBUTION.txt"]
        )
        assert pauses.seconds == []

    def test_what_is_there_already_is_not_asked_for_again(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips")}
        order = _order(repository, tmp_path, "Tips")
        _fetch(order, pauses)
        repository.asked.clear()

        assert planned(order, pauses) == {}
        assert repository.asked == []

    def test_compressed_archives_and_sub_folders_will_do(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            add(archive, "./Tips/session1/a.jpg", picture(1))
        repository.files = {"Tips.tar.gz": file.getvalue()}

        assert _fetch(_order(repository, tmp_path, "Tips"), pauses) == {"Tips": 1}
        assert (tmp_path / "Tips" / "session1" / "a.jpg").is_file()


class TestBrokenLines:
    def test_a_line_that_breaks_is_gone_on_from_where_it_broke(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        content = archive_of("Tips", 20)
        repository.files = {"Tips.tar": content}
        repository.break_after = [10_000, 20_000]
        told: list[int] = []
        (remote,) = record_files(repository.url, RECORD, pauses)
        path = download(remote, tmp_path, told.append, pauses)

        assert path.read_bytes() == content
        assert _content_requests(repository) == ["", "bytes=10000-", "bytes=30000-"]
        assert told[-1] == len(content)
        assert told == sorted(told)
        assert pauses.seconds == []  # something came each time

    def test_another_process_goes_on_with_the_part(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        content = archive_of("Tips", 20)
        repository.files = {"Tips.tar": content}
        _begun(tmp_path).write_bytes(content[:12_345])

        assert _fetch(_order(repository, tmp_path, "Tips"), pauses) == {"Tips": 20}
        assert _content_requests(repository) == ["bytes=12345-"]

    def test_a_server_without_ranges_begins_anew(self, repository: Repository, tmp_path: Path, pauses: Pauses) -> None:
        repository.files = {"Tips.tar": archive_of("Tips", 20)}
        repository.ranges = False
        repository.break_after = [10_000]

        assert _fetch(_order(repository, tmp_path, "Tips"), pauses) == {"Tips": 20}
        assert _content_requests(repository) == ["", "bytes=10000-"]

    def test_a_line_that_brings_nothing_is_tried_with_longer_and_longer_pauses_and_the_part_kept(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        content = archive_of("Tips", 20)
        repository.files = {"Tips.tar": content}
        repository.break_after = [10_000] + [0] * ATTEMPTS
        order = _order(repository, tmp_path, "Tips")
        with pytest.raises(FetchError, match=r"10000 of \d+ bytes came.*run the same command again"):
            _fetch(order, pauses)

        assert pauses.seconds == [1, 2, 4, 8, 16]
        assert (tmp_path / "Tips.tar.part").read_bytes() == content[:10_000]
        assert _fetch(order, pauses) == {"Tips": 20}

    def test_a_busy_server_is_asked_again_when_it_says(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips")}
        repository.statuses = [429, 503]
        repository.retry_after = "7"

        assert _fetch(_order(repository, tmp_path, "Tips"), pauses) == {"Tips": 3}
        assert pauses.seconds == [7, 7]

    def test_nobody_at_home_is_told_with_the_address(
        self, tmp_path: Path, pauses: Pauses, repository: Repository
    ) -> None:
        url = repository.url.rpartition(":")[0] + ":1"
        with pytest.raises(FetchError, match=r"127.0.0.1:1/api/records/.* cannot be reached"):
            planned(FetchOrder(tmp_path, url, RECORD), pauses)


class TestLies:
    def test_a_wrong_checksum_is_told_and_nothing_is_unpacked_or_left(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips")}
        repository.md5 = {"Tips.tar": "0" * 32}
        with pytest.raises(FetchError, match=r"Tips.tar is not what the record says: expected md5 0{32}, found"):
            _fetch(_order(repository, tmp_path, "Tips"), pauses)

        assert [path.name for path in tmp_path.iterdir()] == ["ATTRIBUTION.txt"]
        assert len(_content_requests(repository)) == 1

    def test_a_damaged_part_is_fetched_anew_once(self, repository: Repository, tmp_path: Path, pauses: Pauses) -> None:
        content = archive_of("Tips", 20)
        repository.files = {"Tips.tar": content}
        _begun(tmp_path).write_bytes(b"x" * 5000)

        assert _fetch(_order(repository, tmp_path, "Tips"), pauses) == {"Tips": 20}
        assert _content_requests(repository) == ["bytes=5000-", ""]

    def test_a_part_longer_than_the_file_is_of_another_version(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips")}
        _begun(tmp_path).write_bytes(b"x" * 500_000)

        assert _fetch(_order(repository, tmp_path, "Tips"), pauses) == {"Tips": 3}
        assert _content_requests(repository) == [""]

    def test_more_bytes_than_the_record_says_are_refused(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips", 20)}
        repository.sizes = {"Tips.tar": 9_000}
        with pytest.raises(FetchError, match="longer than the 9000 bytes that the record says"):
            _fetch(_order(repository, tmp_path, "Tips"), pauses)

        assert [path.name for path in tmp_path.iterdir()] == ["ATTRIBUTION.txt"]

    def test_fewer_bytes_than_the_record_says_end_with_what_came(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        content = archive_of("Tips")
        repository.files = {"Tips.tar": content}
        repository.sizes = {"Tips.tar": len(content) + 1}
        with pytest.raises(FetchError, match=rf"{len(content)} of {len(content) + 1} bytes came, and nothing more"):
            _fetch(_order(repository, tmp_path, "Tips"), pauses)

        assert not (tmp_path / "Tips").exists()

    def test_a_file_that_is_gone_is_told_without_asking_again(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips")}
        repository.statuses = [404]
        with pytest.raises(FetchError, match="answers 404"):
            _fetch(_order(repository, tmp_path, "Tips"), pauses)

        assert pauses.seconds == []

    def test_a_record_that_is_gone_is_told(self, repository: Repository, tmp_path: Path, pauses: Pauses) -> None:
        with pytest.raises(FetchError, match=r"answers 404.*--url"):
            planned(FetchOrder(tmp_path, repository.url, "another"), pauses)

    def test_a_record_without_a_category_is_told_with_what_it_has(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips")}
        with pytest.raises(FetchError, match=r"no archive of Powder: it has Tips\.tar"):
            planned(_order(repository, tmp_path, "Tips", "Powder"), pauses)

    def test_a_name_with_folders_is_refused(self, repository: Repository, tmp_path: Path, pauses: Pauses) -> None:
        repository.files = {"../../Tips.tar": archive_of("Tips")}
        with pytest.raises(FetchError, match="folders in them"):
            planned(_order(repository, tmp_path, "Tips"), pauses)

    def test_a_folder_of_other_frames_is_left_alone(
        self, repository: Repository, tmp_path: Path, pauses: Pauses
    ) -> None:
        (tmp_path / "labels.tsv").write_text("mine")
        with pytest.raises(FetchError, match="did not come from here"):
            planned(_order(repository, tmp_path, "Tips"), pauses)

        assert (repository.asked, (tmp_path / "labels.tsv").read_text()) == ([], "mine")

    def test_a_link_to_a_local_file_is_refused(
        self, repository: Repository, tmp_path: Path, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = [{"key": "Tips.tar", "size": 3, "checksum": "md5:" + "0" * 32, "links": {"self": "file:///etc/passwd"}}]
        monkeypatch.setattr(Repository, "listing", lambda _: {"contents": rows})
        with pytest.raises(FetchError, match="file:///etc/passwd"):
            planned(_order(repository, tmp_path, "Tips"), pauses)

    def test_an_address_that_is_none_is_told(self, tmp_path: Path, pauses: Pauses) -> None:
        with pytest.raises(FetchError, match="'file:///etc' is no address of a repository"):
            planned(FetchOrder(tmp_path, "file:///etc", RECORD), pauses)

    def test_a_listing_of_another_kind_is_told(
        self, repository: Repository, tmp_path: Path, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Repository, "listing", lambda _: {"hits": []})
        with pytest.raises(FetchError, match=r"neither 'contents' nor 'entries'.*is --url right"):
            planned(_order(repository, tmp_path, "Tips"), pauses)

    def test_too_small_a_disk_is_told_before_anything_comes(
        self, repository: Repository, tmp_path: Path, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips")}
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**8))
        with pytest.raises(FetchError, match=r"0\.1 GB free, and 0\.5 GB are needed"):
            planned(_order(repository, tmp_path / "not" / "there", "Tips"), pauses)

        assert _content_requests(repository) == []


def _hostile(change: Callable[[tarfile.TarFile], None]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        add(archive, "Tips/good.jpg", picture(1))
        change(archive)
    return file.getvalue()


def _link(archive: tarfile.TarFile) -> None:
    member = tarfile.TarInfo("Tips/link.jpg")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive.addfile(member)


def _bomb(archive: tarfile.TarFile) -> None:
    for number in range(3):
        add(archive, f"Tips/{number}.jpg", bytes(30_000_000))


class TestHostileArchives:
    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda archive: add(archive, "../escaped.jpg", b"x"), "leads outside"),
            (lambda archive: add(archive, "/tmp/escaped.jpg", b"x"), "leads outside"),
            (lambda archive: add(archive, "Tips/../../escaped.jpg", b"x"), "leads outside"),
            (lambda archive: add(archive, "Tips\\..\\escaped.jpg", b"x"), "leads outside"),
            (lambda archive: add(archive, "C:escaped.jpg", b"x"), "leads outside"),
            (_link, "is a link"),
            (lambda archive: add(archive, "good.jpg", b"x"), "is there twice"),
        ],
    )
    def test_it_is_refused_whole_with_the_member_named(
        self, tmp_path: Path, change: Callable[[tarfile.TarFile], None], why: str
    ) -> None:
        archive = tmp_path / "out" / "Tips.tar"
        archive.parent.mkdir()
        archive.write_bytes(_hostile(change))
        with pytest.raises(FetchError, match=f"Tips.tar is not unpacked: '.*' in it {why}"):
            unpack(archive, tmp_path / "out" / "Tips")

        assert [path.name for path in tmp_path.rglob("*")] == ["out", "Tips.tar"]

    def test_a_bomb_is_refused_before_it_fills_the_disk(self, tmp_path: Path) -> None:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            _bomb(archive)
        (tmp_path / "Tips.tar").write_bytes(file.getvalue())
        with pytest.raises(FetchError, match="larger than any archive of frames"):
            unpack(tmp_path / "Tips.tar", tmp_path / "Tips")

        assert [path.name for path in tmp_path.iterdir()] == ["Tips.tar"]

    @pytest.mark.parametrize("content", [b"no archive at all", archive_of("Tips", compression="gz")[:-400], b""])
    def test_a_damaged_archive_is_told(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "Tips.tar").write_bytes(content)
        with pytest.raises(FetchError, match=r"cannot be unpacked|holds no pictures"):
            unpack(tmp_path / "Tips.tar", tmp_path / "Tips")

        assert [path.name for path in tmp_path.iterdir()] == ["Tips.tar"]


class TestCommand:
    def test_it_fetches_labels_and_says_what_came(
        self, emwatch: Program, repository: Repository, tmp_path: Path
    ) -> None:
        repository.files = {f"{name}.tar": archive_of(name) for name in CATEGORIES}
        done = emwatch(
            "dataset", "fetch", "--url", repository.url, "--out", tmp_path / "out", "--categories", "tips", "--json"
        )

        assert json.loads(done.stdout)["categories"] == {"Tips": 3}
        assert "Tips: 0 MB" in done.stderr
        rest = emwatch("dataset", "fetch", "--url", repository.url, "--out", tmp_path / "out")
        assert "Tips" in rest.stdout
        assert "was there" in rest.stdout
        assert "30 frames" in rest.stderr

    def test_killed_in_the_middle_it_goes_on_where_it_was(
        self, emwatch: Program, repository: Repository, tmp_path: Path
    ) -> None:
        repository.files = {"Tips.tar": archive_of("Tips", 200)}
        repository.hang_after = 1_000_000
        arguments = (
            "dataset",
            "fetch",
            "--url",
            repository.url,
            "--out",
            str(tmp_path / "out"),
            "--categories",
            "Tips",
        )
        process = emwatch.start(*arguments)
        assert repository.hanging.wait(60)
        part = tmp_path / "out" / "Tips.tar.part"
        while not part.is_file() or part.stat().st_size < 500_000:
            assert process.poll() is None
        process.kill()
        process.communicate()
        begun = part.stat().st_size
        done = emwatch(*arguments)

        assert "200 frames" in done.stderr
        assert _content_requests(repository) == ["", f"bytes={begun}-"]
        assert not part.exists()

    def test_what_cannot_be_had_is_one_error(self, emwatch: Program, repository: Repository, tmp_path: Path) -> None:
        done = emwatch("dataset", "fetch", "--url", repository.url, "--out", tmp_path / "out", expect=1)

        assert "error: record" in done.stderr
        assert "it has no files" in done.stderr
        assert not (tmp_path / "out").exists()
