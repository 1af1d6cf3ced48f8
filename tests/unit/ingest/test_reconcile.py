"""The proof that nothing is missing: real files held against a real ledger."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from emwatch.frame import FrameState, Outcome, StatKey
from emwatch.ingest.reconcile import Area, CheckedFile, Comparison, FileState
from emwatch.ledger.query import LedgerReader
from emwatch.ledger.writer import Ledger
from emwatch.watch.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE_S = 100.0


class Rig:
    """A directory, its ledger, and the comparison of both, an hour after the files were written unless said."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "frames"
        self.root.mkdir()
        self.ledger = Ledger(tmp_path / "ledger.sqlite")
        self.comparison: Comparison

    def write(self, name: str, content: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content or name)
        return path

    def record(self, path: Path, state: FrameState = FrameState.RECORDED, reason: str = "") -> None:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if state is FrameState.RECORDED else ""
        self.ledger.record(Outcome(path, state, StatKey.of(path.stat()), sha256, "", reason), NOON)

    def compare(self, *, later_s: float = 3600, deep: bool = False, **rules: object) -> dict[str, FileState]:
        area = replace(Area(self.root, self.root, Patterns(exclude=("*.tmp",))), **rules)  # type: ignore[arg-type]
        newest = max((each.stat().st_ctime_ns for each in self.root.rglob("*")), default=0)
        with LedgerReader(self.ledger.path) as reader:
            self.comparison = Comparison(reader, GRACE_S, deep, now_ns=lambda: newest + int(later_s * 1e9))
            self.findings: list[CheckedFile] = [each for some in self.comparison.run([area]) for each in some]
        return {each.path.relative_to(self.root).as_posix(): each.verdict for each in self.findings}


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.ledger.close()


def test_every_kind_of_file_is_told_apart(rig: Rig) -> None:
    rig.record(rig.write("good.tif"))
    rig.record(rig.write("copy.tif", "good.tif"))
    rig.record(rig.write("notes.txt"), FrameState.SKIPPED)
    rig.record(rig.write("broken.tif"), FrameState.FAILED, "ends early")
    old = rig.write("old.tif")
    rig.ledger.baseline(rig.root, [(old, StatKey.of(old.stat()))], NOON)
    changed = rig.write("sub/changed.tif")
    rig.record(changed)
    changed.write_text("something else")
    rig.write("sub/missing.tif")
    rig.write("ignored.tmp")

    assert rig.compare() == {
        "broken.tif": FileState.FAILED,
        "sub/changed.tif": FileState.CHANGED,
        "sub/missing.tif": FileState.MISSING,
    }
    assert rig.comparison.counts == {
        FileState.RECORDED: 1,
        FileState.DUPLICATE: 1,
        FileState.SKIPPED: 1,
        FileState.FAILED: 1,
        FileState.BASELINE: 1,
        FileState.CHANGED: 1,
        FileState.MISSING: 1,
    }
    assert not rig.comparison.complete
    assert [each.reason for each in rig.findings if each.verdict is FileState.FAILED] == ["ends early"]


def test_all_recorded_is_complete_and_what_is_gone_is_counted(rig: Rig) -> None:
    for name in ("a.tif", "b.tif", "c.tif"):
        rig.record(rig.write(name))
    (rig.root / "b.tif").unlink()

    assert rig.compare() == {}
    assert rig.comparison.complete
    assert rig.comparison.gone == 1


def test_what_is_young_waits_also_if_it_came_with_an_old_time(rig: Rig) -> None:
    os.utime(rig.write("copied.tif"), (1, 1))
    changed = rig.write("changed.tif")
    rig.record(changed)
    changed.write_text("anew")

    assert rig.compare(later_s=GRACE_S - 5) == {"copied.tif": FileState.WAITING, "changed.tif": FileState.WAITING}
    assert rig.comparison.complete
    assert rig.compare(later_s=GRACE_S + 5) == {"copied.tif": FileState.MISSING, "changed.tif": FileState.CHANGED}
    assert set(rig.compare(later_s=-GRACE_S - 5).values()) == {FileState.MISSING, FileState.CHANGED}


def test_a_touch_is_no_change(rig: Rig) -> None:
    path = rig.write("a.tif")
    rig.record(path)
    path.chmod(0o600)

    assert rig.compare() == {}


def test_a_change_that_size_and_times_hide_is_found_by_its_ctime_and_deep_finds_none_where_only_times_moved(
    rig: Rig,
) -> None:
    hidden, restored = rig.write("hidden.tif", "aaaa"), rig.write("restored.tif")
    for each in (hidden, restored):
        rig.record(each)
    before = hidden.stat()
    hidden.write_text("bbbb")
    os.utime(hidden, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(restored, (1, 1))

    assert rig.compare() == {"hidden.tif": FileState.CHANGED, "restored.tif": FileState.CHANGED}
    assert rig.compare(deep=True) == {"hidden.tif": FileState.CHANGED}


def test_a_frame_that_failed_as_vanished_and_is_there_is_missing(rig: Rig) -> None:
    path = rig.write("a.tif")
    rig.ledger.record(Outcome(path, FrameState.FAILED, None, code="vanished", reason="gone"), NOON)

    assert rig.compare() == {"a.tif": FileState.MISSING}


def test_depth_and_folders_are_those_of_the_area(rig: Rig) -> None:
    rig.record(rig.write("a.tif"))
    rig.write("sub/b.tif")

    assert rig.compare(recursive=False) == {}
    assert rig.compare(start=rig.root / "sub") == {"sub/b.tif": FileState.MISSING}
    assert rig.compare(max_depth=0) == {"sub": FileState.UNREADABLE}
    assert not rig.comparison.complete


def test_a_directory_that_is_not_there_proves_nothing(rig: Rig) -> None:
    rig.root.rmdir()

    assert rig.compare() == {".": FileState.UNREADABLE}
    assert not rig.comparison.complete
