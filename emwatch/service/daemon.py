"""The daemon: opens its parts in the order in which they depend on each other, and closes them in reverse."""

from __future__ import annotations

import gc
import logging
import threading
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from emwatch.alerts.outbox import Outbox
from emwatch.classify.preprocess import prepared_by
from emwatch.clock import SystemClock
from emwatch.ingest.events import Notice, Ready
from emwatch.ingest.loop import Ingest
from emwatch.ingest.outage import LedgerOutage
from emwatch.ingest.pipeline import Pipeline
from emwatch.ingest.scan import Scan
from emwatch.ledger.writer import Ledger
from emwatch.readers.data_bar import ocr
from emwatch.readers.data_bar.sandbox import BarSandbox
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import bar_limits, reading_limits
from emwatch.service.alert_inbox import alert_inbox
from emwatch.service.data_bars import DataBarWorker, MissingBarReader
from emwatch.service.entry_inbox import entry_inbox
from emwatch.service.learned_targets import LearnedTargets
from emwatch.service.ledger_watch import LedgerWatch
from emwatch.service.lock import SingleInstance
from emwatch.service.model import LiveModel
from emwatch.service.page import PageProcess
from emwatch.service.progress import Progress, Teller
from emwatch.service.reload import Reload
from emwatch.service.review_inbox import review_inbox
from emwatch.service.roots import check_root, checked_roots
from emwatch.service.status_file import StatusFile
from emwatch.service.systemd import SystemdNotifier
from emwatch.service.thumbnails import AlertPictures
from emwatch.service.trouble import Sources, TroubleWatch
from emwatch.service.upkeep import Upkeep
from emwatch.watch.directory import WatchedDirectory, settle_seconds
from emwatch.watch.hints import ASKED, HintBox
from emwatch.watch.settle import Settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from emwatch.alerts.alert import Alert
    from emwatch.clock import Clock
    from emwatch.config import Config
    from emwatch.ingest.events import Event
    from emwatch.service.handover import ServerHandover
    from emwatch.worker import Worker

logger = logging.getLogger(__name__)

_LAST_ALERTS_S: Final = 15.0


class Daemon:
    """
    Watch, classify, record and alert until stopped; with ``once``, until all files that are there are recorded.

    ``tell`` takes every event and ``show`` every alert for the terminal; both are called from the daemon's threads.
    ``progress`` holds the counts. ``reread`` loads the configuration again, or raises `ConfigError`; without it, the
    configuration cannot be reloaded.
    """

    def __init__(  # noqa: PLR0913 - every part named at its one call
        self,
        config: Config,
        *,
        tell: Callable[[Event], None],
        show: Callable[[Alert], None],
        once: bool = False,
        progress: Progress | None = None,
        clock: Clock | None = None,
        notifier: SystemdNotifier | None = None,
        reread: Callable[[], Config] | None = None,
    ) -> None:
        self._config = config
        self._tell = tell
        self._show = show
        self._once = once
        self._progress = progress or Progress()
        self._clock = clock or SystemClock()
        self._notifier = notifier or SystemdNotifier()
        self._reread = reread
        self._hints = HintBox()
        self._stop = threading.Event()
        self._asked = threading.Event()

    def stop(self) -> None:
        """Ask the daemon to finish the current frame and end. Safe from any thread, but not in a signal handler."""
        self._stop.set()
        self._hints.wake()

    def refresh(self) -> None:
        """Ask for a sweep now, a reload of the configuration and a check of the model in use; safe like `stop`."""
        self._asked.set()
        self._hints.everything(ASKED)

    def run(self) -> None:
        """
        Do the work, in the calling thread.

        Raises:
            ConfigError: no directory to watch, or the ledger would be inside a watched directory.
            EmwatchError: the lock is taken, or the ledger or the model cannot be used.
            WatchError: with ``once``, a watched directory is not available.

        """
        with ExitStack() as stack:
            self._run(stack)

    def _run(self, stack: ExitStack) -> None:
        config, clock = self._config, self._clock
        directories = self._directories()
        lock, status_file = self._hold_lock(stack, directories)
        sandbox = stack.enter_context(Sandbox(prepare=prepared_by(config.model.views), limits=reading_limits(config)))
        sandbox.start()
        ledger = self._open_ledger(stack, status_file)
        outbox = self._open_outbox(stack, ledger)
        listeners: list[Callable[[Event], None]] = [partial(self._note_state, status_file), self._tell]
        tell = Teller(self._progress, listeners, outbox.announce, about=config.ledger.path, clock=clock)
        model = LiveModel(config, tell, follow=not self._once)
        outbox.start()
        stack.callback(outbox.stop)
        if ledger.replaced is not None:
            tell(Notice("error", str(ledger.replaced), config.ledger.path))
        upkeep = None if self._once else self._open_upkeep(stack, ledger, status_file, tell)
        bars = self._open_bars(stack, ledger, outbox, tell)
        if bars is not None:
            listeners.append(bars.hear)
        elif config.watch.data_bar == "auto":
            listeners.append(MissingBarReader(tell).hear)
        settle = Settle(partial(settle_seconds, directories), 0 if self._once else config.watch.patience_seconds)
        chores: list[Callable[[float], None]] = []

        def tick(now: float) -> None:
            for chore in chores:
                chore(now)

        outage = LedgerOutage(clock, tell, gives_up=self._once)
        scan = Scan(
            directories=directories,
            hints=self._hints,
            settle=settle,
            ledger=ledger,
            outage=outage,
            clock=clock,
            tell=tell,
            alive=tick,
            once=self._once,
            baseline=config.watch.catch_up == "new",
        )
        pipeline = Pipeline(
            reader=sandbox,
            judge=model,
            targets=config.wanted(),
            ledger=ledger,
            settle=settle,
            outage=outage,
            clock=clock,
            tell=tell,
            recorded=outbox.wake,
            skipped=scan.sidecar_came,
        )

        learned = LearnedTargets(config.ledger.path, config.wanted(), tell, (pipeline, bars), model.space)
        trouble = self._trouble_watch(model, outbox, tell)
        page = self._open_page(stack, status_file, tell)

        def take_over(new: Config) -> None:
            trouble.settings = new.alerts.trouble
            outbox.exchange(new.alerts.open_channels(self._show), new.alerts.policy)
            ledger.alert_max_age = new.alerts.max_age
            learned.exchange(new.wanted())
            page.exchange(new)

        reload = Reload(
            config,
            self._reread,
            take_over=take_over,
            tell=tell,
            note=partial(status_file.note, "configuration"),
            clock=clock,
        )
        beside = bars, upkeep, self._open_handover(stack, ledger, status_file, tell)
        workers = [model.loader, *(each.worker for each in beside if each is not None)]
        chores += [
            self._notifier.tick,
            partial(self._pass_on, model, reload),
            model.tick,
            learned.tick,
            review_inbox(ledger, tell).tick,
            entry_inbox(ledger, tell).tick,
            *(() if self._once else (trouble.tick, page.tick)),
            alert_inbox(ledger, tell, clock.now, outbox.wake).tick,
            LedgerWatch(ledger, lock, tell, partial(_ledger_trouble, status_file)).tick,
            status_file.publish,
            lambda now: _revive((*outbox.workers, *workers), now, tell),
        ]
        self._arm(stack, directories)
        stack.callback(self._notifier.say, STOPPING="1")
        ingest = Ingest(
            scan=scan,
            hints=self._hints,
            settle=settle,
            pipeline=pipeline,
            outage=outage,
            clock=clock,
            tell=tell,
            alive=tick,
            once=self._once,
        )
        status_file.waiting = settle.__len__
        status_file.ledger_trouble = lambda: outage.reason
        status_file.model = model.facts
        ingest.run(self._stop.is_set)
        status_file.become("stopping")
        if self._once:
            self._finish(bars, outbox, tick)

    def _hold_lock(self, stack: ExitStack, directories: list[WatchedDirectory]) -> tuple[SingleInstance, StatusFile]:
        ledger = self._config.ledger.path
        lock = SingleInstance(ledger)
        lock.acquire()
        stack.callback(lock.release)
        status_file = StatusFile(ledger, self._clock, directories, self._hints, self._progress, self._once)
        status_file.become("starting")
        stack.callback(status_file.become, "ended")
        return lock, status_file

    def _open_ledger(self, stack: ExitStack, status_file: StatusFile) -> Ledger:
        settings = self._config.ledger
        ledger = stack.enter_context(
            Ledger(
                settings.path,
                sessions=self._config.session_rules(),
                alert_max_age=self._config.alerts.max_age,
                clock=self._clock,
                backups=settings.backups,
            )
        )
        checked_at = self._clock.now().isoformat(timespec="seconds")
        status_file.notes["check"] = {"result": ledger.start_check, "at": checked_at}
        return ledger

    def _open_outbox(self, stack: ExitStack, ledger: Ledger) -> Outbox:
        alerts = self._config.alerts
        thumbnails = AlertPictures(reading_limits(self._config))
        stack.callback(thumbnails.close)
        channels = alerts.open_channels(self._show)
        return Outbox(ledger, channels, self._clock, policy=alerts.policy, picture=thumbnails)

    def _trouble_watch(self, model: LiveModel, outbox: Outbox, tell: Teller) -> TroubleWatch:
        sources = Sources(
            progress=self._progress,
            ledger=self._config.ledger.path,
            session_gap_s=self._config.ledger.session_gap_minutes * 60,
            model_trouble=lambda: model.facts()["trouble"],
            channels_down_s=outbox.down_s,
        )
        return TroubleWatch(self._config.alerts.trouble, sources, tell)

    def _open_page(self, stack: ExitStack, status_file: StatusFile, tell: Teller) -> PageProcess:
        page = PageProcess(self._config, tell, partial(status_file.note, "page"))
        stack.callback(page.stop)
        return page

    def _open_upkeep(self, stack: ExitStack, ledger: Ledger, status_file: StatusFile, tell: Teller) -> Upkeep:
        settings = self._config.ledger
        upkeep = Upkeep(
            ledger,
            settings.backups,
            every=timedelta(hours=settings.backup_every_hours),
            keep=settings.backup_keep,
            clock=self._clock,
            tell=tell,
            note=status_file.notes.__setitem__,
        )
        upkeep.start()
        stack.callback(upkeep.stop)
        return upkeep

    def _open_handover(
        self, stack: ExitStack, ledger: Ledger, status_file: StatusFile, tell: Teller
    ) -> ServerHandover | None:
        settings = self._config.ledger
        if settings.server is None:
            return None
        from emwatch.ledger.server.connect import Server
        from emwatch.service.handover import ServerHandover

        server = Server(settings.server, settings.read_server_password)
        note = partial(status_file.note, "server")
        handover = ServerHandover(ledger, server, clock=self._clock, tell=tell, note=note)
        handover.start()
        stack.callback(handover.stop)
        return handover

    def _open_bars(self, stack: ExitStack, ledger: Ledger, outbox: Outbox, tell: Teller) -> DataBarWorker | None:
        if self._config.watch.data_bar == "never" or not ocr.is_installed():
            return None
        bars = DataBarWorker(
            ledger=ledger,
            reader=BarSandbox(bar_limits(self._config)),
            targets=self._config.wanted(),
            clock=self._clock,
            tell=tell,
            recorded=outbox.wake,
        )
        bars.start()
        stack.callback(bars.stop)
        return bars

    def _arm(self, stack: ExitStack, directories: list[WatchedDirectory]) -> None:
        """Begin to watch; what was made up to now lives to the end."""
        for directory in directories:
            trouble = directory.arm() if not self._once else ""
            stack.callback(directory.disarm)
            if trouble and directory.is_there():  # if it is missing, the first sweep reports that
                logger.warning("%s", trouble)
        _keep_objects()

    def _note_state(self, status_file: StatusFile, event: Event) -> None:
        status_file.change()
        if isinstance(event, Ready):
            status_file.become("watching")
            self._notifier.say(READY="1", STATUS=f"watching {'; '.join(event.watching)}")

    def _pass_on(self, model: LiveModel, reload: Reload, _now: float) -> None:
        """Do what `refresh` asked for, in the frame thread."""
        if self._asked.is_set():
            self._asked.clear()
            reload.read_again()
            model.check_soon()

    def _finish(self, bars: DataBarWorker | None, outbox: Outbox, tick: Callable[[float], None]) -> None:
        """With ``once``: wait for the data bars and the alerts that are left."""

        def stopped() -> bool:
            tick(self._clock.monotonic())
            return self._stop.is_set()

        if bars is not None:
            bars.finish(stopped)
        outbox.drain(_LAST_ALERTS_S)

    def _directories(self) -> list[WatchedDirectory]:
        checked_roots(self._config)
        watch, check = self._config.watch, partial(check_root, self._config)
        return [
            WatchedDirectory(configured, watch, self._hints, partial(check, configured))
            for configured in self._config.watched_directories()
        ]


def _keep_objects() -> None:
    """Spare the garbage collector the objects made at the start, which live to the end."""
    gc.collect()
    gc.freeze()


def _ledger_trouble(status_file: StatusFile) -> str:
    return status_file.ledger_trouble()  # looked up late: it is set last


def _revive(workers: Iterable[Worker], now: float, tell: Teller) -> None:
    """Restart threads that ended with a fault: otherwise alerts or data bars would stop without a sign."""
    for worker in workers:
        if worker.revive(now):
            tell(Notice("error", f"{worker.name}: stopped by an internal error and restarted; nothing is lost"))
