"""Proof that no frame was lost: compares the files in the directories with the ledger, one by one."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from emwatch.errors import WatchError
from emwatch.filesystem import crosses_network, file_system_type
from emwatch.frame import FrameState
from emwatch.watch.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.frame import StatKey
    from emwatch.ledger.query import Account, LedgerReader
    from emwatch.watch.patterns import Patterns


class FileState(StrEnum):
    """The state of a file in a directory, according to the ledger."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"  #: recorded, with the same content as another frame
    WAITING = "waiting"  #: too new to be in the ledger yet
    FAILED = "failed"  #: has a row with the reason
    SKIPPED = "skipped"  #: has a row: not a frame
    BASELINE = "baseline"  #: has a row: was there before the first start, and was not to be read
    CHANGED = "changed"  #: its content differs from what was recorded
    MISSING = "missing"  #: has no row
    UNREADABLE = "unreadable"  #: cannot be read: nothing is known of it or its content


#: With any of these, completeness is not proved.
NOT_PROVED: Final = (FileState.MISSING, FileState.CHANGED, FileState.UNREADABLE)
#: Worth a line of its own.
LISTED: Final = (*NOT_PROVED, FileState.FAILED, FileState.WAITING)
_OF_STATE: Final = {
    FrameState.RECORDED: FileState.RECORDED,
    FrameState.FAILED: FileState.FAILED,
    FrameState.SKIPPED: FileState.SKIPPED,
    FrameState.BASELINE: FileState.BASELINE,
}


@dataclass(frozen=True, slots=True)
class Area:
    """A watched directory, or a folder below it, and the rules that select its files."""

    root: Path
    start: Path
    patterns: Patterns
    recursive: bool = True
    max_depth: int = 16


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file or folder with its state and the reason."""

    path: Path
    verdict: FileState
    reason: str = ""


@dataclass(slots=True)
class Comparison:
    """
    One pass through the areas. ``counts`` grows while `run` is read; ``gone``: rows whose file is missing.

    ``grace_s``: a file that was written, renamed or touched for less than so many seconds is not expected in the ledger
    yet. ``deep``: every file is read and hashed, instead of trusting that size, times and inode tell a change. Without it,
    only files on a local disk whose ctime alone moved are.
    """

    reader: LedgerReader
    grace_s: float
    deep: bool = False
    now_ns: Callable[[], int] = time.time_ns
    counts: Counter[FileState] = field(default_factory=Counter)
    gone: int = 0
    _file_system: str = ""

    def run(self, areas: list[Area]) -> Iterator[list[CheckedFile]]:
        """Compare, some files at a time; yields what is worth a line. Raises `LedgerError`."""
        for area in areas:
            matched = 0
            self._file_system = file_system_type(area.root)
            try:
                for listing in sweep(
                    area.root,
                    area.patterns,
                    start=area.start,
                    recursive=area.recursive,
                    max_depth=area.max_depth,
                ):
                    known = self.reader.accounts(listing.folder, tuple(listing.files))
                    matched += len(known)
                    findings = [
                        self._judge(listing.folder / name, key, known.get(name)) for name, key in listing.files.items()
                    ]
                    if listing.trouble:
                        findings.append(CheckedFile(listing.folder, FileState.UNREADABLE, listing.trouble))
                    yield self._counted(findings)
            except WatchError as error:
                yield self._counted([CheckedFile(area.root, FileState.UNREADABLE, str(error))])
                continue
            self.gone += max(0, self.reader.rows_below(area.start) - matched)

    @property
    def complete(self) -> bool:
        """Whether every file that was seen is accounted for."""
        return not any(self.counts[verdict] for verdict in NOT_PROVED)

    def _counted(self, findings: list[CheckedFile]) -> list[CheckedFile]:
        self.counts.update(each.verdict for each in findings)
        return [each for each in findings if each.verdict in LISTED]

    def _judge(self, path: Path, key: StatKey, account: Account | None) -> CheckedFile:
        if account is None or (account.stat_key is None and account.state is not FrameState.RECORDED):
            return self._unaccounted(path, key, account)
        if account.state is not FrameState.RECORDED:
            if account.stat_key == key or (account.stat_key is not None and account.stat_key.same_content_likely(key)):
                return CheckedFile(path, _OF_STATE[account.state], account.reason)
            return self._changed(path, key, "changed since it was read")
        verdict = FileState.RECORDED if account.duplicate_of is None else FileState.DUPLICATE
        alike = account.stat_key is not None and account.stat_key.same_content_likely(key)
        # Of a file whose ctime alone moved it is not known whether it was touched, or has other bytes with the old times.
        if self.deep or (alike and account.stat_key != key and not crosses_network(self._file_system)):
            return self._deep(path, key, account, verdict)
        if alike:
            return CheckedFile(path, verdict)
        return self._changed(path, key, "size or time differ from what was recorded; --deep reads it and is certain")

    def _unaccounted(self, path: Path, key: StatKey, account: Account | None) -> CheckedFile:
        if age := self._young(key):
            return CheckedFile(path, FileState.WAITING, age)
        return CheckedFile(path, FileState.MISSING, "" if account is None else account.reason)

    def _changed(self, path: Path, key: StatKey, reason: str) -> CheckedFile:
        if age := self._young(key):
            return CheckedFile(path, FileState.WAITING, age)
        return CheckedFile(path, FileState.CHANGED, reason)

    def _deep(self, path: Path, key: StatKey, account: Account, verdict: FileState) -> CheckedFile:
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return CheckedFile(path, FileState.WAITING, "disappeared while it was read")
        except OSError as error:
            return CheckedFile(path, FileState.UNREADABLE, f"{path}: cannot be read: {error.strerror or error}")
        if sha256 == account.sha256:
            return CheckedFile(path, verdict)
        return self._changed(path, key, "its content is not what was recorded")

    def _young(self, key: StatKey) -> str:
        """Return the age of a file that is too young to be expected, or ""; a time far in the future does not count as young."""
        # Of a file that was copied or renamed into place only the ctime is young.
        age_s = (self.now_ns() - key.ctime_ns) / 1e9
        return f"{max(0.0, age_s):.0f} s old" if abs(age_s) < self.grace_s else ""


def default_grace_s(config: Config) -> float:
    """Return the seconds within which the daemon records or refuses a file: next sweep, settling, patience, and some more."""
    watch = config.watch
    sweep_s = 30.0 if watch.sweep_seconds is None else watch.sweep_seconds
    settle_s = 5.0 if watch.settle_seconds is None else watch.settle_seconds
    return sweep_s + settle_s + watch.patience_seconds + 2 * watch.read_seconds
