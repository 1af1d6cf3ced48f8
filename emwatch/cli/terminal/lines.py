"""The daemon's plain output, without the live view: one line per file, hit and notice."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import click

from emwatch.cli.options import VERBOSITY
from emwatch.cli.terminal.display import counted, printable
from emwatch.frame import FrameState
from emwatch.ingest.events import FrameDone, Notice, Ready
from emwatch.units import degrees_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from emwatch.alerts.alert import Alert
    from emwatch.frame import AcquisitionMetadata, Outcome
    from emwatch.ingest.events import Event

logger = logging.getLogger(__name__)

#: Thousands of failures are summed up, so that hits stay visible; the ledger has each failure with its reason.
MOST_LINES: Final = 20
WITHIN_S: Final = 60.0
SUMMED_UP_EVERY_S: Final = 10.0

_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def frame_words(done: FrameDone) -> tuple[str, str, str, str, str]:
    """Return a frame's outcome as five texts: file, category, probability, magnification, tilt."""
    outcome = done.outcome
    name = printable(outcome.path.name)
    if outcome.prediction is None or outcome.reading is None:
        return name, outcome.code or outcome.state.value, "", "", ""
    metadata = outcome.reading.metadata
    doubt = "?" if outcome.prediction.uncertain else ""
    return name, outcome.prediction.category, f"{outcome.prediction.probability:.2f}{doubt}", *_geometry(metadata)


def alert_line(alert: Alert) -> str:
    """Return the line that shows an alert."""
    return f"HIT {printable(alert.target)}: {printable(str(alert.path))} ({printable(alert.reason)})"


def says_more() -> bool:
    """Return whether the command was given ``-v``."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(VERBOSITY, 0) > 0


def is_quiet(event: Event) -> bool:
    """
    Return whether a file's outcome is shown only with ``-v``.

    Some vendors write a text file beside every frame: these would be half of the lines. They are counted and recorded.
    """
    return isinstance(event, FrameDone) and event.outcome.state is FrameState.SKIPPED


class Flood:
    """
    Prints the first failures, `MOST_LINES` in any `WITHIN_S` seconds, and counts the others for a summary line.

    Times are monotonic seconds. Not thread-safe.
    """

    def __init__(self) -> None:
        self._admitted: deque[float] = deque(maxlen=MOST_LINES)
        self._held_back: Counter[str] = Counter()
        self._since: float | None = None

    def admits(self, code: str, now: float) -> bool:
        """Return whether a failure is printed; else it is counted by its code."""
        if not self._held_back and (len(self._admitted) < MOST_LINES or now - self._admitted[0] >= WITHIN_S):
            self._admitted.append(now)
            return True
        if self._since is None:
            self._since = now
        self._held_back[code] += 1
        return False

    def summary(self, now: float, *, at_once: bool = False) -> str:
        """Return a line with the number of failures not printed since the last summary, or "" if it is too early."""
        if self._since is None or (now - self._since < SUMMED_UP_EVERY_S and not at_once):
            return ""
        seconds = max(1, round(now - self._since))
        kinds = ", ".join(f"{count:,} {code}" for code, count in self._held_back.most_common())
        total = self._held_back.total()
        files = "file" if total == 1 else "files"
        self._held_back.clear()
        self._since = None
        return f"failed: {total:,} more {files} in {seconds} s ({kinds}); emwatch log --failed lists each, -v shows each at once"


class PlainLines:
    """
    Prints results on stdout (or on stderr if stdout is for a JSON document); notices are log lines with their level.

    ``everything``: also print files that are not frames, and every failure; the default depends on ``-v``.
    ``every_failure``: print every failure. ``monotonic`` returns seconds, for `Flood`.
    """

    def __init__(
        self,
        *,
        results_to_stderr: bool = False,
        everything: bool | None = None,
        every_failure: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._results_to_stderr = results_to_stderr
        self._everything = says_more() if everything is None else everything
        self._every_failure = every_failure or self._everything
        self._monotonic = monotonic
        self._flood = Flood()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sum_up(at_once=True)

    def tell(self, event: Event) -> None:
        """Print one event."""
        if is_quiet(event) and not self._everything:
            return
        match event:
            case FrameDone(new=False):
                return
            case FrameDone(outcome=outcome) if outcome.state in (FrameState.FAILED, FrameState.SKIPPED):
                if self._admits(outcome):
                    self._line(f"{outcome.state.value}: {printable(outcome.reason)}")
            case FrameDone():
                words = frame_words(event)
                same = f"same bytes as frame {event.duplicate_of}" if event.duplicate_of else ""
                self._line("  ".join(word for word in (*words, f"{event.lag_s:.2f} s", same) if word))
            case Ready(watching=watching, waiting=waiting):
                for each in watching:
                    logger.info("watching %s", each)
                logger.info("ready; %s to read", counted(waiting, "file"))
            case Notice(level=level, text=text):
                logger.log(_LEVELS[level], "%s", text)

    def show(self, alert: Alert) -> None:
        """Print a hit."""
        self._line(alert_line(alert))

    def sum_up(self, *, at_once: bool = False) -> None:
        """Print a summary line for failures that were only counted, if it is time to."""
        if summary := self._flood.summary(self._monotonic(), at_once=at_once):
            self._line(summary)

    def _admits(self, outcome: Outcome) -> bool:
        return self._every_failure or self._flood.admits(outcome.code, self._monotonic())

    def _line(self, text: str) -> None:
        click.echo(text, err=self._results_to_stderr)


def _geometry(metadata: AcquisitionMetadata) -> tuple[str, str]:
    magnification = metadata.number("magnification")
    tilt = metadata.number("stage_tilt_deg")
    return (
        "" if magnification is None else f"{magnification:,.0f}x",
        "" if tilt is None else f"{degrees_text(tilt)}°",
    )
