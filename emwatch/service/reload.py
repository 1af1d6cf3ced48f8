"""The configuration read again while the daemon runs: targets, channels and logs change between two frames."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from emwatch.config import leaf_keys
from emwatch.errors import ConfigError
from emwatch.ingest.events import Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.clock import Clock
    from emwatch.config import Config
    from emwatch.ingest.events import Event

#: What a running daemon takes over. All else is wired into what it opened at the start: the watch, the ledger, the model.
TAKEN_OVER: Final = ("targets", "alerts", "log")


class Reload:
    """
    Reads the configuration again when asked to, and hands on what of it can change without a restart.

    ``reread`` loads it as at the start (``None``: the one of the start stays); ``take_over`` applies `TAKEN_OVER`. Both raise `ConfigError`, and then all
    stays as it was. ``note`` takes how it went, for `emwatch status`.
    """

    def __init__(
        self,
        config: Config,
        reread: Callable[[], Config] | None,
        *,
        take_over: Callable[[Config], None],
        tell: Callable[[Event], None],
        note: Callable[[dict[str, Any]], None],
        clock: Clock,
    ) -> None:
        self._config = config
        self._reread = reread
        self._take_over = take_over
        self._tell = tell
        self._note = note
        self._clock = clock

    def read_again(self) -> None:
        """Read the configuration; belongs to the thread of the frames, between two of them."""
        if self._reread is None:
            return
        at = self._clock.now().isoformat(timespec="seconds")
        try:
            found = self._reread()
            found.watched_directories()  # the next start would fail without one: better told now
            self._take_over(found)
        except ConfigError as error:
            trouble = "; ".join(str(error).splitlines())
            self._note({"read_at": at, "trouble": trouble, "needs_restart": []})
            self._tell(
                Notice(
                    "error",
                    f"the configuration was not taken over, the one of before goes on. Mend it and reload again: {trouble}",
                )
            )
            return
        changed = [key for key in _keys_of_the_start() if _value(found, key) != _value(self._config, key)]
        self._note({"read_at": at, "trouble": "", "needs_restart": changed})
        self._tell(Notice("info", f"configuration read again: {_words(found)}"))
        if changed:
            self._tell(
                Notice(
                    "warning",
                    f"{', '.join(changed)}: changed, but used only after a restart of emwatch; until then as before",
                )
            )


def _keys_of_the_start() -> list[str]:
    return [leaf.key for leaf in leaf_keys() if leaf.key.partition(".")[0] not in TAKEN_OVER]


def _value(config: Config, key: str) -> object:
    return reduce(getattr, key.split("."), config)


def _words(config: Config) -> str:
    targets = ", ".join(target.name for target in config.targets) or "nothing"
    return f"looking for {targets}; alerts on {', '.join(config.alerts.channels)}"
