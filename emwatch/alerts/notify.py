"""The channel that tells through Apprise (extra ``notify``): e-mail, Teams, Slack, Telegram, ntfy and many more."""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from emwatch.alerts.channel import ChannelSettings
from emwatch.alerts.notify_child import DONE
from emwatch.alerts.program import inherited_environment
from emwatch.alerts.secrets import Secret, hushed
from emwatch.alerts.wording import as_lines
from emwatch.errors import AlertError
from emwatch.escape import escaped
from emwatch.settings import Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emwatch.alerts.alert import Alert

_MISSING: Final = "notify: the extra `notify` is not installed: pip install 'emwatch[notify]'"

_NO_ADDRESS: Final = "holds no address: expected one a line, and lines that begin with # do not count"


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
        elif not (urls := addresses(self.urls_from.read())):
            yield f"urls_from: {_NO_ADDRESS}"
        else:
            for number, url in enumerate(urls, 1):
                if not _is_known(url):
                    yield f"urls_from: address {number} is none that Apprise knows"


def _is_known(url: str) -> bool:
    """Return whether Apprise knows a service for an address. What it logs repeats parts of addresses, so it logs nothing."""
    from apprise import Apprise

    log = logging.getLogger("apprise")
    disabled, log.disabled = log.disabled, True
    try:
        return Apprise.instantiate(url, suppress_exceptions=True) is not None
    finally:
        log.disabled = disabled


class NotifyChannel:
    """
    Tells all services; the alert is delivered when each has taken it.

    Apprise runs in a process of its own that is killed when it takes longer than ``timeout_s``: no service can hang the
    daemon. Addresses go there through a pipe. A picture is attached if the service takes one.
    """

    kind: Final = "notify"

    def __init__(self, urls: Callable[[], str], *, picture: bool = True, timeout_s: float = 30.0) -> None:
        self.pictures = picture
        self._urls = urls
        self._timeout_s = timeout_s
        self._child: _NotifyProcess | None = None

    def send(self, alert: Alert) -> None:
        """
        Send an alert to all services.

        Raises:
            AlertError: one of them did not take it, or not in time.

        """
        urls = addresses(self._urls())
        if not urls:
            raise AlertError(f"notify: {_NO_ADDRESS}")
        title = f"emwatch: {escaped(alert.target)}"
        picture = base64.b64encode(alert.thumbnail).decode("ascii")
        letter = {"urls": urls, "title": title, "body": "\n".join(as_lines(alert)), "picture": picture}
        try:
            answer = self._ask(json.dumps(letter).encode("ascii"))
        except OSError as error:
            raise AlertError(f"notify: cannot be started ({error})") from error
        if answer != DONE:
            raise AlertError(f"notify: {escaped(hushed(answer, urls)[:300])}")

    def _ask(self, letter: bytes) -> str:
        """Return the answer of the process; one that has ended since the last alert is started again."""
        child = self._child or _NotifyProcess()
        answer = child.ask(letter, self._timeout_s)
        if not answer and child is self._child:
            child = _NotifyProcess()
            answer = child.ask(letter, self._timeout_s)
        self._child = None if child.is_over else child
        return answer or "its process ended without an answer"


class _NotifyProcess:
    """The process, which takes one letter after the other and ends by itself when none comes for a while."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "emwatch.alerts.notify_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=inherited_environment(),
            start_new_session=True,
        )
        self.is_over = False
        # A channel that is configured no more is forgotten: its process ends with the end of its input.
        weakref.finalize(self, _end, self._process)

    def ask(self, letter: bytes, timeout_s: float) -> str:
        """Return the answer to a letter, "" if the process ended by itself; it is killed after ``timeout_s``."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(timeout_s, kill)
        timer.daemon = True
        timer.start()
        answer = b""
        with suppress(BrokenPipeError):
            if self._process.stdin is not None and self._process.stdout is not None:
                self._process.stdin.write(letter + b"\n")
                self._process.stdin.flush()
                answer = self._process.stdout.readline()
        timer.cancel()
        self.is_over = not answer
        if late.is_set():
            return f"not done after {timeout_s:g} s"
        return answer.decode("utf-8", "backslashreplace").strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
        return
    process.kill()
    process.wait()


def addresses(text: str) -> list[str]:
    """Return the addresses of a text, one a line; empty lines and lines that begin with ``#`` do not count."""
    return [line for each in text.splitlines() if (line := each.strip()) and not line.startswith("#")]
