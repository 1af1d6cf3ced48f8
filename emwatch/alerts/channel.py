"""What a channel and its settings are."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from emwatch.settings import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from emwatch.alerts.alert import Alert


@runtime_checkable
class Channel(Protocol):
    """
    A way to tell the operator. One thread at a time calls it; other channels are called from other threads.

    Attributes:
        kind: its word in the configuration.

    """

    @property
    def kind(self) -> str:
        """Its word in the configuration."""
        ...

    def send(self, alert: Alert) -> None:
        """
        Deliver an alert; return within a bounded time, and only when the receiver has it.

        After a crash the same alert may come again, with the same key.

        Raises:
            AlertError: it was not taken; the outbox tries again. No other exception may leave a channel.

        """
        ...


def is_silent(channel: Channel) -> bool:
    """Return whether a channel disturbs nobody (``silent = True``): it gets every alert at once, whatever the policy."""
    return bool(getattr(channel, "silent", False))


def shows_pictures(channel: Channel) -> bool:
    """Return whether alerts for a channel carry a thumbnail (``pictures = True``)."""
    return bool(getattr(channel, "pictures", False))


class ChannelSettings(Section):
    """
    The keys of one channel in the configuration; each kind derives its own.

    Attributes:
        kind: a ``Literal`` with the one word of this kind.

    """

    kind: str

    def written_folder(self) -> Path | None:
        """Return the folder that the channel writes to; it must not be in a watched directory."""
        return None

    @abstractmethod
    def open(self, show: Callable[[Alert], None]) -> Channel:
        """Return the channel; ``show`` displays an alert in the terminal."""

    def doubts(self) -> Iterable[str]:
        """Return what will probably not work on this machine, as ``key: what is wrong``."""
        return ()
