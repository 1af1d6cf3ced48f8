"""The channel of whoever sits at the terminal: the live view, or plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TextIO

from emwatch.alerts.wording import as_line
from emwatch.errors import AlertError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.frame import Alert


class TerminalChannel:
    """Hands each alert to a callable, such as a live view's."""

    kind: Final = "terminal"

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


def line_printer(stream: TextIO) -> Callable[[Alert], None]:
    """Give a callable that prints one plain line per alert."""

    def show(alert: Alert) -> None:
        line = f"HIT {as_line(alert)}\n"
        encoding = stream.encoding or "utf-8"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()

    return show
