"""
Archives: years of frames read, classified and recorded, by several workers and one writer.

The ledger is the only memory of what is done, so that a scan that was stopped, or killed, goes on with the rest.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from emwatch.errors import EmwatchError, Vanished
from emwatch.frame import FrameState, path_to_text
from emwatch.ingest.archive_worker import begin_process, work_on
from emwatch.ingest.changes import Changes
from emwatch.watch.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from emwatch.clock import Clock
    from emwatch.frame import Outcome, StatKey
    from emwatch.ingest.archive_worker import Batch, Work
    from emwatch.ledger.writer import Ledger, Recorded
    from emwatch.watch.patterns import Patterns

#: Files handed out at a time: a second's work, so that little is lost with a worker and the reader seldom runs dry.
_BATCH: Final = 16
#: Batches of each worker on their way, so that it need not wait for the writer.
_AHEAD: Final = 2
#: A file younger than this may still be being written; it is left to the next scan.
SETTLED_S: Final = 30.0
_DAY_NS: Final = 86_400 * 10**9
#: Losses of workers in one scan: a process that the system kills for its memory will be killed again.
_MOST_LOSSES: Final = 5


class Workers(Protocol):
    """Where batches are worked on: processes of this machine, which share its processors, or a cluster."""

    are_local: bool

    @property
    def count(self) -> int:
        """The number of batches that are worked on at a time; it may change."""
        ...

    def submit(self, work: Work, batch: Batch) -> Future[list[Outcome]]:
        """Hand out a batch; the future raises `BrokenExecutor` if its worker was lost before the end."""
        ...

    def revive(self) -> None:
        """Start new workers in place of lost ones; whatever was handed out is lost."""
        ...


@dataclass(slots=True)
class Scanned:
    """The counts of a scan, updated while it runs."""

    recorded: int = 0
    hits: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def done(self) -> int:
        """Return the number of files that were concluded."""
        return self.recorded + self.failed + self.skipped

    def add(self, outcome: Outcome, recorded: Recorded) -> None:
        """Count one file."""
        self.recorded += outcome.state is FrameState.RECORDED
        self.failed += outcome.state is FrameState.FAILED
        self.skipped += outcome.state is FrameState.SKIPPED
        self.hits += recorded.hit


@dataclass(frozen=True, slots=True)
class Archive:
    """Directories whose files are compared with the ledger. ``tell`` takes what cannot be looked at."""

    roots: Sequence[Path]
    patterns: Patterns
    max_depth: int
    ledger: Ledger
    clock: Clock
    tell: Callable[[str], None]

    def count(self) -> tuple[int, int]:
        """Return how many files are to be read, and how many are left out since they may still be being written."""
        settled = young = 0
        for files, left_out in self._folders(lambda _trouble: None):
            settled += len(files)
            young += left_out
        return settled, young

    def batches(self) -> Iterator[Batch]:
        """
        Yield the files to be read in batches, folder by folder, those of a folder in the order they were written.

        Raises:
            WatchError: a directory is not there.
            LedgerError: the ledger cannot be asked.

        """
        for settled, _young in self._folders(self.tell):
            in_order = iter(sorted(settled.items(), key=lambda item: (item[1].mtime_ns, item[0])))
            while batch := tuple(islice(in_order, _BATCH)):
                yield batch

    def _folders(self, tell: Callable[[str], None]) -> Iterator[tuple[dict[Path, StatKey], int]]:
        changes = Changes(self.ledger, self.clock)
        for root in self.roots:
            for listing in sweep(root, self.patterns, max_depth=self.max_depth):
                if listing.trouble:
                    tell(listing.trouble)
                files = changes.in_folder(listing.folder, listing.files).files
                now_ns = int(self.clock.now().timestamp() * 1e9)
                settled = {path: key for path, key in files.items() if _is_settled(key, now_ns)}
                yield settled, len(files) - len(settled)


def _is_settled(key: StatKey, now_ns: int) -> bool:
    """
    Return whether a file was last changed long enough ago.

    The clock of a microscope that was ahead leaves times to come; then it counts when the file last changed here. Where that
    is no time either, by a share whose own clock is ahead by more than a day, nothing tells, and the file is read.
    """
    changed_ns = key.mtime_ns if key.mtime_ns <= now_ns else key.ctime_ns
    return changed_ns <= now_ns - int(SETTLED_S * 1e9) or changed_ns > now_ns + _DAY_NS


def scan_archive(
    batches: Iterator[Batch], work: Work, workers: Workers, ledger: Ledger, clock: Clock, result: Scanned
) -> Iterator[int]:
    """
    Work through batches, and record what comes back; yields the number of files done after each batch.

    Each batch is one transaction: after an interruption the next scan goes on there. A batch whose worker was lost is
    handed out again.

    Raises:
        EmwatchError: workers were lost again and again.
        LedgerError, ModelError: nothing more can be recorded or classified.

    """
    waiting: dict[Future[list[Outcome]], Batch] = {}
    again: deque[Batch] = deque()
    losses = 0
    while True:
        while len(waiting) < _AHEAD * max(workers.count, 1):
            batch = again.popleft() if again else next(batches, None)
            if batch is None:
                break
            waiting[workers.submit(work, batch)] = batch
        if not waiting:
            return
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            try:
                outcomes = _seen(future.result())
            except BrokenExecutor as error:
                losses += 1
                if losses == _MOST_LOSSES:
                    raise EmwatchError(
                        f"workers were lost {losses} times ({error}); is there memory for so many? "
                        "Try fewer of them; the same command goes on from here"
                    ) from error
                again.extend(waiting.values())
                waiting.clear()
                workers.revive()
                break
            del waiting[future]
            for outcome, recorded in zip(outcomes, ledger.record_all(outcomes, clock.now()), strict=True):
                result.add(outcome, recorded)
            yield result.done


def _seen(outcomes: list[Outcome]) -> list[Outcome]:
    """Leave out files that were deleted meanwhile. Raises `EmwatchError` if only the worker does not see one."""
    for each in outcomes:
        if each.code == Vanished.code and each.path.exists():
            raise EmwatchError(
                f"{path_to_text(each.path)}: a worker does not see it; mount the archive at the same path on every worker"
            )
    return [each for each in outcomes if each.code != Vanished.code]


class LocalWorkers:
    """Worker processes of this machine; each has a reader of its own beside it."""

    are_local = True

    def __init__(self, count: int) -> None:
        self.count = count
        self._executor = self._start()

    def submit(self, work: Work, batch: Batch) -> Future[list[Outcome]]:
        """Hand out a batch."""
        return self._executor.submit(work_on, work, batch)

    def revive(self) -> None:
        """Start new processes."""
        self.close()
        self._executor = self._start()

    def close(self) -> None:
        """Drop what was not begun, and end the processes."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def kill(self) -> None:
        """
        End the processes at once: they only read, and the next scan goes on with what is not recorded.

        Waited for, each would first end its batch; a second Ctrl-C would then leave processes that wait for one another.
        """
        import multiprocessing

        for each in multiprocessing.active_children():
            each.kill()

    def _start(self) -> Executor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        return ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), begin_process)


@contextmanager
def local_workers(count: int) -> Iterator[LocalWorkers]:
    """Start worker processes on this machine, and end them afterwards."""
    workers = LocalWorkers(count)
    try:
        yield workers
    except BaseException:
        workers.kill()
        raise
    finally:
        workers.close()
