"""What a channel is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from emwatch.frame import Alert


@runtime_checkable
class Channel(Protocol):
    """
    A way to tell the operator. One thread at a time calls it; other channels are called from other threads.

    Attributes:
        kind: the word for it in the configuration.

    """

    @property
    def kind(self) -> str:
        """The word for it in the configuration."""
        ...

    def send(self, alert: Alert) -> None:
        """
        Tell; return only when the receiver has it, within a bounded time.

        The same alert may come again after a crash, with the same key.

        Raises:
            AlertError: it was not taken; the outbox tries again. No other exception may leave a channel.

        """
        ...
