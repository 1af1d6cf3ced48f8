"""The kinds of channel there are: a new one is one module and one line here."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from emwatch.alerts.command import CommandChannel
from emwatch.alerts.terminal import TerminalChannel
from emwatch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emwatch.alerts.channel import Channel

CHANNELS: Final[Mapping[str, Callable[..., Channel]]] = MappingProxyType(
    {channel.kind: channel for channel in (CommandChannel, TerminalChannel)}
)


def make_channel(kind: str, **settings: object) -> Channel:
    """
    Make a channel of a kind from its settings, the keyword arguments of its class.

    Raises:
        ConfigError: there is no such kind, or a setting cannot be used.

    """
    if kind not in CHANNELS:
        raise ConfigError(f"alerts: there is no channel of the kind {kind!r}: choose {' or '.join(sorted(CHANNELS))}")
    return CHANNELS[kind](**settings)
