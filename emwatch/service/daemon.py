"""The daemon put together: opened in the order in which things depend on each other, closed in reverse."""

from __future__ import annotations

import gc
import logging
import threading
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from emwatch.alerts.outbox import Outbox
from emwatch.classify.preprocess import prepared_by
from emwatch.clock import SystemClock
from emwatch.frame import FrameState
from emwatch.ingest.events import FrameDone, Notice, Ready
from emwatch.ingest.loop import Ingest
from emwatch.ingest.pipeline import Pipeline
from emwatch.ledger.schema import BAR_FIELDS
from emwatch.ledger.writer import Ledger
from emwatch.readers.data_bar import ocr
from emwatch.readers.data_bar.sandbox import BarSandbox
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import bar_limits, reading_limits
from emwatch.service.channels import open_channels
from emwatch.service.data_bars import DataBars
from emwatch.service.lock import SingleInstance
from emwatch.service.model import LiveModel
from emwatch.service.progress import Progress
from emwatch.service.reload import Reload
from emwatch.service.review_inbox import LiveReviews
from emwatch.service.roots import checked_roots
from emwatch.service.status_file import Standing
from emwatch.service.systemd import SystemdNotifier
from emwatch.service.upkeep import Upkeep
from emwatch.watch.directory import WatchedDirectory
from emwatch.watch.hints import ASKED, HintBox
from emwatch.watch.settle import Settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.clock import Clock
    from emwatch.config import Config
    from emwatch.frame import Alert
    from emwatch.ingest.events import Happening

logger = logging.getLogger(__name__)

_LAST_ALERTS_S = 15.0
_ANNOUNCED_EVERY_S = 3600.0


class Daemon:
    """
    Watches, classifies, records and alerts until stopped, or, with ``once``, until what is there has been dealt with.

    ``tell`` hears every happening and ``show`` every alert for the terminal; both are called from the daemon's threads.
    ``reread`` loads the configuration again, or raises `ConfigError`; without it, the one of the start stays.
    """

    def __init__(
        self,
        config: Config,
        *,
        tell: Callable[[Happening], None],
        show: Callable[[Alert], None],
        once: bool = False,
        clock: Clock | None = None,
        notifier: SystemdNotifier | None = None,
        reread: Callable[[], Config] | None = None,
    ) -> None:
        self._config = config
        self._tell = tell
        self._show = show
        self._once = once
        self._clock = clock or SystemClock()
        self._notifier = notifier or SystemdNotifier()
        self._hints = HintBox()
        self._stop = threading.Event()
        self._progress = Progress(started_at=self._clock.monotonic())
        self._standing: Standing | None = None
        self._bars: DataBars | None = None
        self._upkeep: Upkeep | None = None
        self._outbox: Outbox | None = None
        self._model: LiveModel | None = None
        self._reviews: LiveReviews | None = None
        self._pipeline: Pipeline | None = None
        self._reload = reread and Reload(
            config, reread, take_over=self._take_over, tell=self._hear, note=self._note_reload, clock=self._clock
        )
        self._extra_missing_told = False
        self._announced: dict[str, float] = {}

    def stop(self) -> None:
        """Ask the daemon to finish the frame in work and end; safe from any thread, not in a signal handler."""
        self._stop.set()
        self._hints.wake()

    def look_again(self) -> None:
        """Ask for a sweep now, and for a look at the configuration and at which model is in use; safe like `stop`."""
        if self._reload is not None:
            self._reload.ask()
        if self._model is not None:
            self._model.look_soon()
        self._hints.everything(ASKED)

    def run(self) -> None:
        """
        Do the work, in the calling thread.

        Raises:
            ConfigError: nothing to watch, or the ledger would lie in the acquisition directory.
            EmwatchError: the lock is taken, or the ledger or the model cannot be used.
            WatchError: with ``once``, a watched directory is not available.

        """
        config, clock = self._config, self._clock
        directories = self._directories()
        with ExitStack() as stack:
            lock = SingleInstance(config.ledger.path)
            lock.acquire()
            stack.callback(lock.release)
            standing = Standing(config.ledger.path, clock, directories, self._hints, self._progress, self._once)
            self._standing = standing
            standing.become("starting")
            stack.callback(standing.become, "ended")
            sandbox = stack.enter_context(
                Sandbox(prepare=prepared_by(config.model.views), limits=reading_limits(config))
            )
            sandbox.start()
            gap = timedelta(minutes=config.ledger.session_gap_minutes)
            ledger = stack.enter_context(
                Ledger(config.ledger.path, session_gap=gap, clock=clock, backups=config.ledger.backups)
            )
            standing.notes["check"] = {"result": ledger.looked_over, "at": clock.now().isoformat(timespec="seconds")}
            model = self._model = LiveModel(config, self._tell, follow=not self._once)
            self._reviews = LiveReviews(ledger, self._hear)
            outbox = Outbox(ledger, open_channels(config, self._show), clock)
            outbox.start()
            stack.callback(outbox.stop)
            self._outbox = outbox
            if ledger.replaced is not None:
                self._hear(Notice("error", str(ledger.replaced), config.ledger.path))
            self._keep_up(stack, ledger, standing)
            self._bars = self._data_bars(stack, ledger, outbox)
            for directory in directories:
                trouble = directory.arm() if not self._once else ""
                stack.callback(directory.disarm)
                if trouble and directory.is_there():  # else the first sweep says so
                    logger.warning("%s", trouble)
            # What start-up made stays for good: the collector need not walk through it for every frame.
            gc.collect()
            gc.freeze()
            stack.callback(self._notifier.say, STOPPING="1")
            pipeline = self._pipeline = Pipeline(sandbox, model, config.wanted())
            settle = Settle(
                max(directory.settle_s for directory in directories), 0 if self._once else config.watch.patience_seconds
            )
            ingest = Ingest(
                directories=directories,
                hints=self._hints,
                settle=settle,
                pipeline=pipeline,
                ledger=ledger,
                clock=clock,
                tell=self._hear,
                recorded=outbox.wake,
                alive=self._show_life,
                once=self._once,
                baseline=config.watch.catch_up == "new",
            )
            standing.waiting = settle.__len__
            standing.ledger_trouble = lambda: ingest.ledger_trouble
            standing.model = model.facts
            ingest.run(self._stop.is_set)
            standing.become("stopping")
            if self._once:
                if self._bars is not None:
                    self._bars.finish(self._leave_the_bars)
                outbox.drain(_LAST_ALERTS_S)

    def _show_life(self, now: float) -> None:
        self._notifier.alive(now)
        if self._model is not None:
            self._model.look(now)
        if self._reviews is not None:
            self._reviews.look(now)
        if self._reload is not None:
            self._reload.look()
        if self._standing is not None:
            self._standing.publish(now)
        self._revive()

    def _take_over(self, config: Config) -> None:
        """Look for other targets and tell them on other channels, from the next frame on. Raises `ConfigError`."""
        channels = open_channels(config, self._show)
        if self._outbox is not None:
            self._outbox.exchange(channels)
        for each in (self._pipeline, self._bars):
            if each is not None:
                each.look_for(config.wanted())

    def _note_reload(self, how: dict[str, Any]) -> None:
        if self._standing is not None:
            self._standing.notes["configuration"] = how
            self._standing.change()

    def _revive(self) -> None:
        """Start again what died of a fault of our own: nobody would see that alerts or bars have stopped."""
        died = [] if self._outbox is None else [f"alerts on {name}" for name in self._outbox.revive()]
        if self._bars is not None and self._bars.revive():
            died.append("reading data bars")
        if self._upkeep is not None and self._upkeep.revive():
            died.append("keeping the ledger safe")
        for what in died:
            self._tell(Notice("error", f"{what} stopped by a fault of emwatch and was started again; nothing is lost"))

    def _hear(self, happening: Happening) -> None:
        self._progress.note(happening, self._clock.monotonic())
        if self._standing is not None:
            self._standing.change()
            if isinstance(happening, Ready):
                self._standing.become("watching")
        if isinstance(happening, Ready):
            self._notifier.say(READY="1", STATUS=f"watching {'; '.join(happening.watching)}")
        self._tell(happening)
        if isinstance(happening, Notice) and happening.level == "error":
            self._announce(happening)
        if isinstance(happening, FrameDone):
            self._see_to_the_bar(happening)

    def _announce(self, trouble: Notice) -> None:
        """Tell trouble on the channels as well, each once an hour at most: whoever is away sees no terminal."""
        now = self._clock.monotonic()
        self._announced = {text: at for text, at in self._announced.items() if now - at < _ANNOUNCED_EVERY_S}
        if self._outbox is not None and trouble.text not in self._announced:
            self._announced[trouble.text] = now
            self._outbox.announce(trouble.text, trouble.path or self._config.ledger.path)

    def _keep_up(self, stack: ExitStack, ledger: Ledger, standing: Standing) -> None:
        if self._once:
            return
        settings = self._config.ledger
        upkeep = self._upkeep = Upkeep(
            ledger,
            settings.backups,
            every=timedelta(hours=settings.backup_every_hours),
            keep=settings.backup_keep,
            clock=self._clock,
            tell=self._hear_from_aside,
            note=standing.notes.__setitem__,
        )
        upkeep.start()
        stack.callback(upkeep.stop)

    def _hear_from_aside(self, notice: Happening) -> None:
        """Hear from another thread than the one that works: nothing is counted."""
        self._tell(notice)
        if isinstance(notice, Notice):
            self._announce(notice)

    def _see_to_the_bar(self, done: FrameDone) -> None:
        reading = done.outcome.reading
        if done.outcome.state is not FrameState.RECORDED or reading is None or not reading.metadata.lacks(BAR_FIELDS):
            return
        if self._bars is not None:
            self._bars.offer(done.frame_id)
        elif self._config.watch.data_bar == "auto" and not self._extra_missing_told:
            self._extra_missing_told = True
            self._tell(
                Notice(
                    "info",
                    "some frames lack values that the data bar in the picture may show; reading it needs "
                    "pip install 'emwatch[ocr]' (watch.data_bar: never leaves it)",
                )
            )

    def _data_bars(self, stack: ExitStack, ledger: Ledger, outbox: Outbox) -> DataBars | None:
        if self._config.watch.data_bar == "never" or not ocr.is_installed():
            return None
        bars = DataBars(
            ledger=ledger,
            reader=BarSandbox(bar_limits(self._config)),
            targets=self._config.wanted(),
            clock=self._clock,
            tell=self._tell,
            recorded=outbox.wake,
        )
        bars.start()
        stack.callback(bars.stop)
        return bars

    def _leave_the_bars(self) -> bool:
        self._show_life(self._clock.monotonic())
        return self._stop.is_set()

    def _directories(self) -> list[WatchedDirectory]:
        return [WatchedDirectory(root, self._config.watch, self._hints) for root in checked_roots(self._config)]
