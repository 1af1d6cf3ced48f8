"""The channel that shows alerts in the terminal: in the live view, or as plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from emwatch.alerts.channel import ChannelSettings
from emwatch.errors import AlertError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.alerts.alert import Alert


class TerminalSettings(ChannelSettings):
    """Alerts in the live view and the log of ``emwatch run``."""

    kind: Literal["terminal"] = "terminal"

    def open(self, show: Callable[[Alert], None]) -> TerminalChannel:
        """Return the channel that calls ``show``."""
        return TerminalChannel(show)


class TerminalChannel:
    """Calls a function with each alert, such as a live view's."""

    kind: Final = "terminal"
    silent: Final = True

    def __init__(self, show: Callable[[Alert], None]) -> None:
        self._show = show

    def send(self, alert: Alert) -> None:
        """
        Show an alert.

        Raises:
            AlertError: the terminal is gone.

        """
        try:
            self._show(alert)
        except (OSError, ValueError) as error:  # a closed pipe, a closed stream
            raise AlertError(f"terminal: cannot be written ({error})") from error
