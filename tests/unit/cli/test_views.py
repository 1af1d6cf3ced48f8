"""What the lines and the live view of ``emwatch run`` show and what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from emwatch.cli.terminal.display import both_ends
from emwatch.cli.terminal.lines import PlainLines
from emwatch.cli.terminal.live import LiveView
from emwatch.frame import (
    AcquisitionMetadata,
    FrameState,
    Match,
    Outcome,
    Reading,
)
from emwatch.ingest.events import BarRead, FrameDone
from emwatch.service.progress import Progress
from emwatch.testing import make_outcome

Show = Callable[[FrameDone, bool], str]


def _done(name: str, state: FrameState) -> FrameDone:
    outcome = Outcome(Path("/sem") / name, state, None, code="not-a-frame", reason=f"/sem/{name}: as it is")
    return FrameDone(1, outcome, new=True, duplicate_of=None, lag_s=0.1, waiting=0)


@pytest.fixture(name="show", params=["lines", "live"])
def _show(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Show:
    """Either view, told of one file: returns what it shows."""

    def lines(done: FrameDone, everything: bool) -> str:
        PlainLines(everything=everything).tell(done)
        return capsys.readouterr().out

    def live(done: FrameDone, everything: bool) -> str:
        written = StringIO()
        console = Console(file=written, force_terminal=True, width=100)
        with LiveView(console, Progress(), everything=everything) as view:
            view.tell(done)
        return written.getvalue()

    return lines if request.param == "lines" else live


def test_a_text_beside_a_frame_passes_quietly(show: Show) -> None:
    assert "frame.txt" not in show(_done("frame.txt", FrameState.SKIPPED), False)


def test_it_is_shown_to_who_asks_for_more(show: Show) -> None:
    assert "frame.txt" in show(_done("frame.txt", FrameState.SKIPPED), True)


def test_a_failed_file_is_always_shown(show: Show) -> None:
    assert "cut.tif" in show(_done("cut.tif", FrameState.FAILED), False)


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_no_name_is_so_long_that_it_hides_what_was_said_of_the_frame(width: int) -> None:
    written = StringIO()
    console = Console(file=written, force_terminal=True, width=width)
    with LiveView(console, Progress()) as view:
        view.tell(_done("wafer試_the_second_try_of_the_afternoon_" * 5 + "_0042.tif", FrameState.FAILED))
    shown = [line for line in Text.from_ansi(written.getvalue()).plain.splitlines() if "wafer" in line]

    assert shown
    assert all("not-a-frame" in line for line in shown)
    assert all("42.tif" in line for line in shown), "the end of a name is what tells frames of a series apart"
    assert all(cell_len(line.rstrip()) <= width for line in shown)


def test_a_name_that_fits_is_left_alone() -> None:
    assert both_ends("frame_0001.tif", 14) == "frame_0001.tif"


def test_a_shortened_name_is_as_wide_as_its_place_however_wide_its_letters() -> None:
    assert both_ends("frame_of_today_0001.tif", 13) == "frame_…01.tif"
    assert cell_len(both_ends("試料試料試料試料試料１２.tif", 13)) in (12, 13)


def test_run_shows_texts_with_v_only_and_counts_them_always(run: Callable[..., tuple[str, str]]) -> None:
    quiet, counts = run()
    verbose, _ = run("-v")

    assert "skipped" not in quiet
    assert "1 skipped" in counts
    assert "notes.txt" in verbose


@pytest.fixture(name="run")
def _run(tmp_path: Path, emwatch: Callable[..., object]) -> Callable[..., tuple[str, str]]:
    """Each call watches a folder of its own with one text in it, once: returns stdout and stderr."""
    calls: list[Path] = []

    def run(*options: str) -> tuple[str, str]:
        folder = tmp_path / f"sem{len(calls)}"
        calls.append(folder)
        folder.mkdir()
        (folder / "notes.txt").write_text("just text\n", encoding="utf-8")
        ledger = tmp_path / f"{folder.name}.sqlite3"
        ended = emwatch("run", "--once", "--plain", "--engine", "stub", "--ledger", ledger, *options, folder)
        return ended.stdout, ended.stderr  # type: ignore[attr-defined]

    return run


def test_a_flood_of_failures_gets_a_few_lines_and_then_sums_that_count_every_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    with PlainLines(everything=False, monotonic=lambda: now[0]) as lines:
        for number in range(500):
            now[0] = number / 10
            lines.tell(_done(f"cut_{number}.tif", FrameState.FAILED))
            lines.sum_up()
        now[0] = 1000
        lines.sum_up()
        lines.tell(_done("later.tif", FrameState.FAILED))
        lines.tell(_done("later too.tif", FrameState.FAILED))
        for number in range(20):
            lines.tell(_done(f"again_{number}.tif", FrameState.FAILED))
    printed = capsys.readouterr().out.splitlines()

    single = [line for line in printed if line.endswith("as it is")]
    sums = [line for line in printed if "emwatch log --failed" in line]
    assert len(printed) == len(single) + len(sums)
    assert len(single) == 40
    assert "later.tif" in single[20]
    assert sum(int(line.split()[1]) for line in sums) == 500 - 20 + 2
    assert len(sums) <= 7
    assert sums[0].startswith("failed: 101 more files in 10 s (101 not-a-frame)")
    assert printed[-1].startswith("failed: 2 more files in 1 s (2 not-a-frame)")


def test_with_v_every_failure_of_a_flood_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainLines(everything=True) as lines:
        for number in range(100):
            lines.tell(_done(f"cut_{number}.tif", FrameState.FAILED))

    assert len(capsys.readouterr().out.splitlines()) == 100


@pytest.mark.parametrize("by", ["sidecar", "data bar"])
def test_what_comes_late_of_a_frame_is_put_into_its_row(by: str) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=140)
    view = LiveView(console, Progress(), everything=False)
    bare, complete = _recorded(AcquisitionMetadata()), _recorded(_MAGNIFIED)
    target = Match("close up", "x5,000", ("terminal",))
    view.tell(bare)
    before = _text(view)
    if by == "sidecar":
        outcome = replace(complete.outcome, matches=(target,))
        view.tell(replace(complete, outcome=outcome, new=False, hit=True))
    else:
        view.tell(BarRead(bare.frame_id, _MAGNIFIED, (target,), hit=True))

    assert "5,000x" not in before
    assert "5,000x" in _text(view)
    assert "close up" in _text(view)
    assert _text(view).count("tip.tif") == 1


_MAGNIFIED = AcquisitionMetadata("Maker", {"magnification": Reading(5000.0, "5000", "data bar")})


def _recorded(metadata: AcquisitionMetadata) -> FrameDone:
    outcome = make_outcome("/sem/tip.tif", metadata=metadata)
    return FrameDone(7, outcome, new=True, duplicate_of=None, lag_s=0.1, waiting=0)


def _text(view: LiveView) -> str:
    written = StringIO()
    Console(file=written, width=140).print(view.picture())
    return written.getvalue()
