"""New names, from listings alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from emwatch.errors import WatchError
from emwatch.watch.names import Names
from emwatch.watch.patterns import Patterns

if TYPE_CHECKING:
    from pathlib import Path


class Tree:
    """A tree whose names are listed; ``listed`` counts the folders that were."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *, trusts_times: bool = False) -> None:
        self.root = root
        self.now_ns = 0
        self.listed = 0
        self.names = Names(
            root, Patterns(exclude=("*.tmp",)), max_depth=3, trusts_times=trusts_times, now_ns=lambda: self.now_ns
        )
        real = os.scandir

        def scandir(path: Path) -> object:
            self.listed += 1
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    def write(self, name: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")

    def walk(self) -> list[str]:
        self.listed = 0
        appeared = [path for each in self.names.walk() for path in (*each.files, *each.folders)]
        return [path.relative_to(self.root).as_posix() for path in appeared]


@pytest.fixture(name="tree")
def _tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def test_only_names_that_were_not_there_before_appear(tree: Tree) -> None:
    tree.write("a.tif")
    tree.write("day/b.tif")

    assert tree.walk() == []

    tree.write("c.tif")
    tree.write("c.tmp")
    tree.write("day/d.tif")

    assert tree.walk() == ["c.tif", "day/d.tif"]
    assert tree.walk() == []


def test_a_folder_appears_as_a_folder_and_later_its_new_files(tree: Tree) -> None:
    tree.walk()
    tree.write("day/a.tif")

    assert tree.walk() == ["day"]

    tree.write("day/b.tif")

    assert tree.walk() == ["day/b.tif"]


def test_a_name_that_went_and_came_back_appears_again(tree: Tree) -> None:
    tree.write("a.tif")
    tree.walk()
    (tree.root / "a.tif").unlink()
    tree.walk()
    tree.write("a.tif")

    assert tree.walk() == ["a.tif"]


def test_no_file_is_looked_at(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.write("a.tif")
    tree.walk()
    tree.write("b.tif")

    def refuse(*_arguments: object, **_named: object) -> None:
        raise AssertionError("a file was looked at")

    monkeypatch.setattr(os, "lstat", refuse)
    monkeypatch.setattr(os, "stat", refuse)

    assert tree.walk() == ["b.tif"]


def test_a_folder_whose_time_did_not_change_is_not_listed_again_if_times_can_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Tree(tmp_path, monkeypatch, trusts_times=True)
    tree.write("day/a.tif")
    tree.now_ns = tmp_path.stat().st_mtime_ns + 10_000_000_000
    tree.walk()
    tree.walk()
    assert tree.listed == 0

    tree.write("day/b.tif")

    assert tree.walk() == ["day/b.tif"]
    assert tree.listed == 1


def test_a_time_within_the_tick_of_a_listing_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(tmp_path, monkeypatch, trusts_times=True)
    tree.now_ns = tmp_path.stat().st_mtime_ns + 1_000_000
    tree.walk()
    times = tmp_path.stat()
    tree.write("a.tif")
    os.utime(tmp_path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as if both came in one tick

    assert tree.walk() == ["a.tif"]


def test_a_folder_that_cannot_be_listed_for_a_while_costs_nothing(tree: Tree) -> None:
    tree.write("day/a.tif")
    tree.walk()
    day = (tree.root / "day").rename(tree.root.with_name("away"))
    tree.walk()
    day.rename(tree.root / "day")
    tree.walk()
    tree.write("day/b.tif")

    assert tree.walk() == ["day/b.tif"]


def test_a_root_that_is_not_there_is_an_error(tree: Tree) -> None:
    tree.root.rmdir()

    with pytest.raises(WatchError, match="not available"):
        tree.walk()
