"""What the operator sees on a terminal while the daemon runs: the last frames, counts, hits, rate and lag."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from emwatch.cli.display import printable
from emwatch.cli.lines import alert_line, frame_words, is_quiet, says_more
from emwatch.frame import FrameState
from emwatch.service.happenings import FrameDone, Notice

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import Console, RenderableType

    from emwatch.frame import Alert
    from emwatch.service.happenings import Happening
    from emwatch.service.progress import Progress

_SHOWN = 14
#: A terminal narrower than this gets shorter names, so that numbers and doubts stay whole.
_ROOMY = 110


class LiveView:
    """
    The last frames, counts, rate and lag in place; hits and notices stay above, with the terminal's bell for a hit.

    ``progress``: the counts to show, kept by the caller. ``everything``: also files that are no frames; by default as
    ``-v`` says.
    """

    def __init__(self, console: Console, progress: Progress, *, everything: bool | None = None) -> None:
        self._console = console
        self._everything = says_more() if everything is None else everything
        self._progress = progress
        self._last: deque[tuple[str, FrameDone]] = deque(maxlen=_SHOWN)
        self._guard = threading.Lock()
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._picture, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tell(self, happening: Happening) -> None:
        """Take in one happening."""
        with self._guard:
            shown = self._everything or not is_quiet(happening)
            if isinstance(happening, FrameDone) and happening.new and shown:
                self._last.append((datetime.now().astimezone().strftime("%H:%M:%S"), happening))
        if isinstance(happening, Notice):
            style = {"error": "bold red", "warning": "yellow"}.get(happening.level, "dim")
            self._console.print(Text(printable(happening.text), style=style))

    def show(self, alert: Alert) -> None:
        """Keep a hit on the screen, and ring."""
        self._console.print(Text(f"★ {alert_line(alert)}", style="bold black on green"), soft_wrap=True)
        self._console.bell()

    def _picture(self) -> RenderableType:
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
        line.append(f"  {progress.per_minute(now)}/min")
        return line

    def _frames(self) -> Table:
        narrow = self._console.width < _ROOMY
        table = Table(box=None, pad_edge=False, expand=False)
        table.add_column("Time", style="dim", no_wrap=True, min_width=8)
        table.add_column("Frame", overflow="ellipsis", no_wrap=True, min_width=12)
        table.add_column("Category", no_wrap=True, min_width=9)
        for title, width in (("p", 5), ("Magn." if narrow else "Magnification", 8), ("Tilt", 6)):
            table.add_column(title, justify="right", no_wrap=True, min_width=width)
        table.add_column("Hit", overflow="ellipsis", no_wrap=True)
        for at, done in reversed(self._last):
            hit = ", ".join(match.target for match in done.outcome.matches)
            style = {FrameState.FAILED: "red", FrameState.SKIPPED: "dim"}.get(done.outcome.state, "")
            style = "bold green" if hit else style
            name, category, *numbers = frame_words(done)
            words = (name, category.split("_")[0] if narrow else category, *numbers, printable(hit))
            table.add_row(at, *(Text(word) for word in words), style=style)
        return table
