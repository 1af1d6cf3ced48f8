"""The live view on a terminal while the daemon runs: the last frames, counts, hits, rate and lag."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from emwatch.cli.terminal.display import both_ends, printable
from emwatch.cli.terminal.lines import alert_line, frame_words, is_quiet, says_more
from emwatch.frame import FrameState
from emwatch.ingest.events import BarRead, FrameDone, Notice

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import Console, RenderableType

    from emwatch.alerts.alert import Alert
    from emwatch.ingest.events import Event
    from emwatch.service.progress import Progress

_SHOWN = 14
#: On a narrower terminal, names are shortened, so that numbers and doubts stay complete.
_ROOMY = 110
#: A still narrower one shows only the columns that identify a frame and its category.
_LITTLE = 64
_NAME, _NUMBERS, _HIT = 1, (3, 4, 5), 6
_NEEDED = range(4)
_GAP = 2
_SHORTEST_NAME = 8


class LiveView:
    """
    The last frames, counts, rate and lag in place; hits and notices stay above, with the terminal's bell for a hit.

    ``progress``: the counts to show, kept by the caller. ``everything``: also show files that are not frames; the
    default depends on ``-v``.
    """

    def __init__(self, console: Console, progress: Progress, *, everything: bool | None = None) -> None:
        self._console = console
        self._everything = says_more() if everything is None else everything
        self._progress = progress
        self._last: deque[tuple[str, FrameDone]] = deque(maxlen=_SHOWN)
        self._guard = threading.Lock()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self.picture, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tell(self, event: Event) -> None:
        """Take in one event."""
        with self._guard:
            shown = self._everything or not is_quiet(event)
            if isinstance(event, FrameDone) and event.new and shown:
                self._last.append((_now(), event))
            elif isinstance(event, (FrameDone, BarRead)):
                self._complete(event)
        if isinstance(event, Notice):
            style = {"error": "bold red", "warning": "yellow"}.get(event.level, "dim")
            self._console.print(Text(f"{_now()}  {printable(event.text)}", style=style))

    def _complete(self, late: FrameDone | BarRead) -> None:
        """Add the values of a late sidecar or of a data bar to the frame's row."""
        for at, (moment, done) in enumerate(self._last):
            if done.frame_id == late.frame_id:
                self._last[at] = moment, _completed(done, late)

    def show(self, alert: Alert) -> None:
        """Keep a hit on the screen, and ring the bell."""
        self._console.print(Text(f"{_now()}  ★ {alert_line(alert)}", style="bold black on green"), soft_wrap=True)
        self._console.bell()

    def sum_up(self, *, at_once: bool = False) -> None:
        """Do nothing: failures have no lines of their own here."""

    def picture(self) -> RenderableType:
        """Return what the view shows now."""
        with self._guard:
            return Group(self._head(), self._frames())

    def _head(self) -> RenderableType:
        progress, now = self._progress, time.monotonic()
        line = Text(no_wrap=True, overflow="ellipsis")
        if progress.ready is None:
            line.append(" starting ", style="black on yellow")
        elif progress.trouble:
            line.append(" trouble ", style="white on red")
        else:
            line.append(" watching ", style="black on green")
        line.append(f"  frames {progress.frames}", style="bold")
        line.append(f"  hits {progress.hits}", style="bold green" if progress.hits else "dim")
        line.append(f"  failed {progress.failed}", style="bold red" if progress.failed else "dim")
        line.append(f"  waiting {progress.waiting}", style="dim")
        if progress.lag_s is not None and progress.last_frame_at is not None:
            line.append(f"  last {now - progress.last_frame_at:.0f} s ago  lag {progress.lag_s:.2f} s")
        if self._console.width >= _ROOMY:
            line.append(f"  {progress.per_minute(now)}/min")
        return line

    def _frames(self) -> Table:
        room = self._console.width
        narrow = room < _ROOMY
        titles = ["Time", "Frame", "Category", "p", "Magn." if narrow else "Magnification", "Tilt", "Hit"]
        rows = [self._words(moment, done, narrow=narrow) for moment, done in reversed(self._last)]
        widths = [max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)]
        kept = range(len(titles)) if room >= _LITTLE else _NEEDED
        widths[_HIT] = min(widths[_HIT], max(room // 6, len("Hit")))
        # The name is shortened, not the results: rich would cut the last columns.
        others = sum(widths[column] for column in kept if column != _NAME) + _GAP * (len(kept) - 1)
        widths[_NAME] = min(widths[_NAME], max(room - others, _SHORTEST_NAME))
        table = Table(box=None, pad_edge=False, expand=False)
        for column in kept:
            table.add_column(
                titles[column],
                justify="right" if column in _NUMBERS else "left",
                style="" if column else "dim",
                no_wrap=True,
                overflow="ellipsis",
                width=widths[column],
            )
        for words, (_, done) in zip(rows, reversed(self._last), strict=True):
            style = {FrameState.FAILED: "red", FrameState.SKIPPED: "dim"}.get(done.outcome.state, "")
            words[_NAME] = both_ends(words[_NAME], widths[_NAME])
            style = "bold green" if done.outcome.matches else style
            table.add_row(*(Text(words[column]) for column in kept), style=style)
        return table

    @staticmethod
    def _words(moment: str, done: FrameDone, *, narrow: bool) -> list[str]:
        name, category, *numbers = frame_words(done)
        hit = printable(", ".join(match.target for match in done.outcome.matches))
        return [moment, name, category.split("_")[0] if narrow else category, *numbers, hit]


def _completed(done: FrameDone, late: FrameDone | BarRead) -> FrameDone:
    if isinstance(late, FrameDone):
        return late if late.outcome.reading is not None else done
    reading = done.outcome.reading
    if reading is None:
        return done
    known = {match.target: match for match in (*done.outcome.matches, *late.matches)}
    reading = replace(reading, metadata=late.metadata)
    return replace(done, outcome=replace(done.outcome, reading=reading, matches=tuple(known.values())))


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")
