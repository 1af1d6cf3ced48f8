"""The channel that publishes alerts to an MQTT broker (extra ``mqtt``)."""

from __future__ import annotations

import importlib.util
import json
import time
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from emwatch.alerts.channel import ChannelSettings
from emwatch.alerts.secrets import Secret
from emwatch.alerts.wording import as_document
from emwatch.errors import AlertError
from emwatch.escape import escaped
from emwatch.settings import Number, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emwatch.alerts.alert import Alert

_MISSING: Final = "mqtt: the extra `mqtt` is not installed: pip install 'emwatch[mqtt]'"


class MqttSettings(ChannelSettings):
    """Alerts published to a broker: each under ``TOPIC/alert``, the newest retained under ``TOPIC/state``."""

    kind: Literal["mqtt"]
    host: Text
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    tls: bool = False
    user: Text | None = None
    password: Secret | None = None
    topic: Annotated[str, Field(pattern=r"^[^\x00-\x1f#+]{1,200}$")] = "emwatch"
    timeout_seconds: Annotated[Number, Field(gt=0, le=600)] = 10.0

    def open(self, show: Callable[[Alert], None]) -> MqttChannel:  # noqa: ARG002 - nothing is shown here
        """Return the channel that publishes."""
        return MqttChannel(self)

    def doubts(self) -> Iterator[str]:
        """Find that the extra is missing, or the password."""
        if importlib.util.find_spec("paho") is None:
            yield _MISSING
        if self.password is not None and (trouble := self.password.trouble()):
            yield f"password: {trouble}"


class MqttChannel:
    """
    Publishes each alert with quality of service 1; it is delivered when the broker has acknowledged it.

    The connection is made for each alert: alerts are rare, and a connection that died unseen is none. It disturbs
    nobody by itself, so it gets every alert, whatever the policy.
    """

    kind: Final = "mqtt"
    silent: Final = True

    def __init__(self, settings: MqttSettings) -> None:
        self._settings = settings

    def send(self, alert: Alert) -> None:
        """
        Publish an alert.

        Raises:
            AlertError: the broker cannot be reached, refuses, or does not acknowledge in time.

        """
        settings = self._settings
        document = json.dumps(as_document(alert))
        try:
            self._publish({f"{settings.topic}/alert": (document, False), f"{settings.topic}/state": (document, True)})
        except ImportError as error:
            raise AlertError(_MISSING) from error
        except (OSError, ValueError, RuntimeError) as error:
            reason = escaped(getattr(error, "strerror", None) or str(error))
            raise AlertError(f"mqtt {settings.host}: {reason}") from error

    def _publish(self, messages: dict[str, tuple[str, bool]]) -> None:
        """Publish payloads, each retained or not, and wait for every acknowledgement; all within the time limit."""
        from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessageInfo
        from paho.mqtt.enums import CallbackAPIVersion

        settings, deadline = self._settings, time.monotonic() + self._settings.timeout_seconds
        client = Client(CallbackAPIVersion.VERSION2)
        if settings.tls:
            client.tls_set()
        if settings.user is not None:
            client.username_pw_set(settings.user, settings.password.read() if settings.password is not None else None)
        refused: list[str] = []
        client.on_connect = lambda _client, _data, _flags, reason, _properties: (
            refused.append(str(reason)) if reason.is_failure else None
        )
        client.connect_timeout = settings.timeout_seconds
        client.connect(settings.host, settings.port or (8883 if settings.tls else 1883))
        sent: list[MQTTMessageInfo] = []
        try:
            while not (sent and all(each.is_published() for each in sent)):
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"not acknowledged within {settings.timeout_seconds:g} s")
                if client.loop(0.1) != MQTT_ERR_SUCCESS or refused:
                    raise ConnectionError(refused[0] if refused else "the connection was lost")
                if client.is_connected() and not sent:
                    sent = [client.publish(topic, text, qos=1, retain=kept) for topic, (text, kept) in messages.items()]
        finally:
            client.disconnect()
            client.loop(0.1)
