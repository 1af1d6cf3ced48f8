"""The channels that a configuration names, ready to send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.alerts.registry import make_channel
from emwatch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.alerts.channel import Channel
    from emwatch.config import Config
    from emwatch.frame import Alert


def open_channels(config: Config, show: Callable[[Alert], None]) -> dict[str, Channel]:
    """
    Make every channel, by name; ``show`` takes the alerts for the terminal.

    Raises:
        ConfigError: the settings of a channel cannot be used; the message names it.

    """
    channels = {}
    for name, settings in config.alerts.channels.items():
        try:
            if settings.kind == "terminal":
                channels[name] = make_channel(settings.kind, show=show)
            else:
                channels[name] = make_channel(settings.kind, argv=settings.argv, timeout_s=settings.timeout_seconds)
        except ConfigError as error:
            raise ConfigError(f"alerts.{name}.{error}") from error
    return channels
