"""Takes over learned targets while the daemon runs: a version that was just learned counts from the next frame on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from emwatch.errors import TargetError
from emwatch.ingest.events import Notice
from emwatch.teaching.store import TargetStore, with_judges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.frame import Target
    from emwatch.ingest.events import Event

_LOOK_EVERY_S: Final = 2.0


class UsesTargets(Protocol):
    """Matches frames with targets."""

    def use_targets(self, targets: Sequence[Target]) -> None:
        """Use these targets from now on."""
        ...


class LearnedTargets:
    """Completes the configured targets by what was learned, and again when that changes. Belongs to the frame thread."""

    def __init__(
        self,
        ledger: Path,
        targets: Sequence[Target],
        tell: Callable[[Event], None],
        users: Sequence[UsesTargets | None],
    ) -> None:
        self._ledger, self._store = ledger, TargetStore(ledger)
        self._tell, self._users = tell, [each for each in users if each is not None]
        self._seen: tuple[tuple[str, int], ...] = ()
        self._next_look = 0.0
        self.exchange(targets)

    def exchange(self, targets: Sequence[Target]) -> None:
        """Use other configured targets."""
        self._targets = tuple(targets)
        self._apply()

    def tick(self, now: float) -> None:
        """Look every two seconds whether a target was learned or forgotten."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        if self._state() != self._seen:
            self._apply()

    def _apply(self) -> None:
        self._seen = self._state()
        try:
            ready = with_judges(self._targets, self._ledger)
        except TargetError as error:
            self._tell(Notice("error", f"{error}; the learned targets in use stay"))
            return
        for each in self._users:
            each.use_targets(ready)
        if lacking := [target.learned for target in ready if target.learned and target.judge is None]:
            self._tell(
                Notice(
                    "warning",
                    f"no learned target is called {', '.join(lacking)}: nothing meets it; 'emwatch target learn' makes it",
                )
            )

    def _state(self) -> tuple[tuple[str, int], ...]:
        try:
            return self._store.state()
        except OSError:
            return self._seen
