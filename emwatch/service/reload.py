"""Reloads the configuration while the daemon runs: targets, channels and logs change between two frames."""

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

#: Sections that a running daemon can change. The others belong to what it opened at the start: watch, ledger, model.
TAKEN_OVER: Final = ("targets", "alerts", "web", "log")


class Reload:
    """
    Reads the configuration again on request, and applies the parts that can change without a restart.

    ``reread`` loads it as at the start (``None``: no reload); ``take_over`` applies `TAKEN_OVER`. If either raises
    `ConfigError`, nothing changes. ``note`` takes the result, for `emwatch status`.
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
        """Read the configuration again; call it in the frame thread, between two frames."""
        if self._reread is None:
            return
        at = self._clock.now().isoformat(timespec="seconds")
        try:
            found = self._reread()
            found.watched_directories()  # without one the next start would fail: report it now
            self._take_over(found)
        except ConfigError as error:
            trouble = "; ".join(str(error).splitlines())
            self._note({"read_at": at, "trouble": trouble, "needs_restart": []})
            self._tell(
                Notice(
                    "error",
                    f"the configuration was not taken over; the previous one stays in use. Correct it and reload again: {trouble}",
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
                    f"{', '.join(changed)}: changed, but takes effect only after a restart of emwatch",
                )
            )


def _keys_of_the_start() -> list[str]:
    return [leaf.key for leaf in leaf_keys() if leaf.key.partition(".")[0] not in TAKEN_OVER]


def _value(config: Config, key: str) -> object:
    return reduce(getattr, key.split("."), config)


def _words(config: Config) -> str:
    targets = ", ".join(target.name for target in config.targets) or "nothing"
    return f"looking for {targets}; alerts on {', '.join(config.alerts.channels)}"
