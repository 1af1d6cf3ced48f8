"""Reports the daemon's state to systemd (sd_notify(3)): one datagram of ``KEY=value`` lines to a socket."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class SystemdNotifier:
    """Sends READY, STATUS, WATCHDOG and STOPPING; does nothing without a service manager."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_seconds(environ)
        self._last_sign_of_life = float("-inf")

    def say(self, **facts: str) -> None:
        """Send facts, e.g. ``say(READY="1", STATUS="watching /frames")``."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(f"{key}={value}" for key, value in facts.items()).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as sender:
                sender.sendto(message, address)
        except OSError:
            # A service manager that does not answer must not stop a frame.
            return

    def tick(self, now: float) -> None:
        """
        Send the watchdog signal, at most four times per interval.

        Call it from the frame loop, so that a hung pipeline stops the signal; a timer thread would hide that.
        """
        if self._watchdog_s is not None and now - self._last_sign_of_life >= self._watchdog_s / 4:
            self._last_sign_of_life = now
            self.say(WATCHDOG="1")


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    microseconds = environ.get("WATCHDOG_USEC", "")
    for_whom = environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (for_whom and for_whom != str(os.getpid())):
        return None
    return int(microseconds) / 1e6
