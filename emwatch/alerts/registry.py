"""The kinds of channel: a new one is a module and a line in `KINDS`."""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, get_args

from pydantic import Field

from emwatch.alerts.command import CommandSettings
from emwatch.alerts.folder import FolderSettings
from emwatch.alerts.mqtt import MqttSettings
from emwatch.alerts.notify import NotifySettings
from emwatch.alerts.terminal import TerminalSettings
from emwatch.alerts.webhook import WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.alerts.channel import ChannelSettings

KINDS: Final[tuple[type[ChannelSettings], ...]] = (
    TerminalSettings,
    CommandSettings,
    WebhookSettings,
    FolderSettings,
    MqttSettings,
    NotifySettings,
)

#: The settings of each kind, by its word in the configuration.
BY_KIND: Final[Mapping[str, type[ChannelSettings]]] = MappingProxyType(
    {get_args(settings.model_fields["kind"].annotation)[0]: settings for settings in KINDS}
)

if TYPE_CHECKING:
    AnyChannel = ChannelSettings
else:
    AnyChannel = Annotated[reduce(or_, KINDS), Field(discriminator="kind")]
