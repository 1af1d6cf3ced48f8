"""The channel that tells through Apprise (extra ``notify``): e-mail, Teams, Slack, Telegram, ntfy and many more."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from emwatch.alerts.channel import ChannelSettings
from emwatch.alerts.program import run_program
from emwatch.alerts.secrets import Secret, hushed
from emwatch.alerts.wording import as_lines
from emwatch.errors import AlertError
from emwatch.escape import escaped
from emwatch.settings import Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emwatch.frame import Alert

_MISSING: Final = "notify: the extra `notify` is not installed: pip install 'emwatch[notify]'"


class NotifySettings(ChannelSettings):
    """Alerts through the services whose Apprise addresses stand in a secret, one a line."""

    kind: Literal["notify"]
    urls_from: Secret
    picture: bool = True
    timeout_seconds: Annotated[Number, Field(gt=0, le=600)] = 30.0

    def open(self, show: Callable[[Alert], None]) -> NotifyChannel:  # noqa: ARG002 - nothing is shown here
        """Return the channel that tells the services."""
        return NotifyChannel(self.urls_from.read, picture=self.picture, timeout_s=self.timeout_seconds)

    def doubts(self) -> Iterator[str]:
        """Find that the extra is missing, or the addresses, or that one of them is none."""
        if importlib.util.find_spec("apprise") is None:
            yield _MISSING
        elif trouble := self.urls_from.trouble():
            yield f"urls_from: {trouble}"
        else:
            from apprise import Apprise

            for number, url in enumerate(addresses(self.urls_from.read()), 1):
                if Apprise.instantiate(url, suppress_exceptions=True) is None:
                    yield f"urls_from: address {number} is none that Apprise knows"


class NotifyChannel:
    """
    Tells all services; the alert is delivered when each has taken it.

    Apprise runs in a process of its own that is killed after ``timeout_s``: no service can hang the daemon. Addresses
    go there through a pipe. A picture is attached if the service takes one.
    """

    kind: Final = "notify"

    def __init__(self, urls: Callable[[], str], *, picture: bool = True, timeout_s: float = 30.0) -> None:
        self.pictures = picture
        self._urls = urls
        self._timeout_s = timeout_s

    def send(self, alert: Alert) -> None:
        """
        Send an alert to all services.

        Raises:
            AlertError: one of them did not take it, or not in time.

        """
        urls = addresses(self._urls())
        title = f"emwatch: {escaped(alert.target)}"
        picture = base64.b64encode(alert.thumbnail).decode("ascii")
        letter = {"urls": urls, "title": title, "body": "\n".join(as_lines(alert)), "picture": picture}
        arguments = [sys.executable, "-m", "emwatch.alerts.notify_child"]
        try:
            ended = run_program(arguments, json.dumps(letter).encode("ascii"), dict(os.environ), self._timeout_s)
        except OSError as error:
            raise AlertError(f"notify: cannot be started ({error})") from error
        if ended.status is None:
            raise AlertError(f"notify: not done after {self._timeout_s:g} s")
        if ended.status != 0:
            raise AlertError(f"notify: {escaped(hushed(ended.last_line or 'no message', urls)[:300])}")


def addresses(text: str) -> list[str]:
    """Return the addresses of a text, one a line; empty lines and lines that begin with ``#`` do not count."""
    return [line for each in text.splitlines() if (line := each.strip()) and not line.startswith("#")]
