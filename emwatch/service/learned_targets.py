"""Takes over learned targets while the daemon runs: a version that was just learned counts from the next frame on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from emwatch.ingest.events import Notice
from emwatch.teaching.doubts import doubts
from emwatch.teaching.store import TargetStore, judged_by, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.frame import EmbeddingSpace
    from emwatch.ingest.events import Event
    from emwatch.targets.rules import Target
    from emwatch.teaching.store import LearnedTarget

#: The files of learned targets with their times, and the space of the model in use.
_State: TypeAlias = tuple[tuple[tuple[str, int], ...], "EmbeddingSpace | None"]

_LOOK_EVERY_S: Final = 2.0
_TRY_AGAIN_EVERY_S: Final = 60.0


class UsesTargets(Protocol):
    """Matches frames with targets."""

    def use_targets(self, targets: Sequence[Target]) -> None:
        """Use these targets from now on."""
        ...


class LearnedTargets:
    """
    Completes the configured targets by what was learned, and again when that changes. Belongs to the frame thread.

    A file that cannot be read is told once and tried again each minute; what was learned before stays meanwhile, and
    every other target is taken over.
    """

    def __init__(
        self,
        ledger: Path,
        targets: Sequence[Target],
        tell: Callable[[Event], None],
        users: Sequence[UsesTargets | None],
        space: Callable[[], EmbeddingSpace | None],
    ) -> None:
        self._store, self._space = TargetStore(ledger), space
        self._tell, self._users = tell, [each for each in users if each is not None]
        self._seen: _State = ((), None)
        self._next_look = self._next_try = 0.0
        self._known: dict[str, LearnedTarget] = {}
        self._troubles: list[str] = []
        self._doubts: list[str] = []
        self.exchange(targets)

    def exchange(self, targets: Sequence[Target]) -> None:
        """Use other configured targets, and say again what does not work of them."""
        self._targets, self._doubts = tuple(targets), []
        self._apply()

    def tick(self, now: float) -> None:
        """Look every two seconds whether a target was learned or forgotten, or another model is in use."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        if self._state() != self._seen or (self._troubles and now >= self._next_try):
            self._next_try = now + _TRY_AGAIN_EVERY_S
            self._apply()

    def _apply(self) -> None:
        self._seen = self._state()
        found, unreadable = self._store.survey()
        troubles = list(unreadable.values())
        for known in self._known.values():  # what was forgotten has no file, and alerts no more
            newest = max((version_of(path, known.name) for path in unreadable), default=0)
            if newest >= known.version and (known.name not in found or found[known.name].version < known.version):
                found[known.name] = known
        for trouble in troubles:
            if trouble not in self._troubles:
                self._tell(Notice("error", f"{trouble}; what was learned before stays in use"))
        self._known, self._troubles = found, troubles
        ready = judged_by(self._targets, found.values())
        for each in self._users:
            each.use_targets(ready)
        found_doubts = list(doubts(ready, found, self._space()))
        for doubt in found_doubts:
            if doubt not in self._doubts:
                self._tell(Notice("warning", doubt))
        self._doubts = found_doubts

    def _state(self) -> _State:
        try:
            return self._store.state(), self._space()
        except OSError:
            return self._seen
