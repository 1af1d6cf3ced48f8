"""What every channel must do, whatever it is made of."""

from __future__ import annotations

import csv
import io
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from emwatch.alerts.channel import Channel
from emwatch.alerts.command import CommandChannel
from emwatch.alerts.folder import TABLE, FolderChannel
from emwatch.alerts.mqtt import MqttChannel, MqttSettings
from emwatch.alerts.notify import NotifyChannel
from emwatch.alerts.registry import BY_KIND
from emwatch.alerts.terminal import TerminalChannel
from emwatch.alerts.webhook import WebhookChannel
from emwatch.cli.terminal.lines import PlainLines
from emwatch.errors import AlertError
from emwatch.testing import RecordingChannel, make_alert
from tests.sinks import MOSQUITTO, Broker, HttpSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.alerts.alert import Alert


class Rig(Protocol):
    """A channel with a receiver behind it that can be looked at and broken."""

    channel: Channel

    def received(self) -> list[str]: ...

    def break_receiver(self) -> None: ...

    def mend_receiver(self) -> None: ...


class RecordingRig:
    def __init__(self, _folder: Path) -> None:
        self.channel = RecordingChannel()

    def received(self) -> list[str]:
        return [each.key for each in self.channel.taken]

    def break_receiver(self) -> None:
        self.channel.refuses = True

    def mend_receiver(self) -> None:
        self.channel.refuses = False


class TerminalRig:
    def __init__(self, _folder: Path) -> None:
        self._text = io.TextIOWrapper(io.BytesIO(), "ascii", errors="backslashreplace", write_through=True)
        self._broken = False
        lines = PlainLines(everything=False)
        self._keys: list[str] = []

        def show_or_fail(alert: Alert) -> None:
            if self._broken:
                raise BrokenPipeError(32, "Broken pipe")
            with redirect_stdout(self._text):
                lines.show(alert)
            self._keys.append(alert.key)

        self.channel = TerminalChannel(show_or_fail)

    def received(self) -> list[str]:
        lines = self._text.buffer.getvalue().splitlines()  # type: ignore[attr-defined]
        assert len(lines) == len(self._keys)  # one line each, whatever is in the names
        return self._keys

    def break_receiver(self) -> None:
        self._broken = True

    def mend_receiver(self) -> None:
        self._broken = False


class CommandRig:
    SCRIPT = (
        "import json, pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "if (folder / 'broken').exists(): sys.exit('receiver is broken')\n"
        "with (folder / 'received').open('a') as file: file.write(json.load(sys.stdin)['key'] + '\\n')\n"
    )

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.channel = CommandChannel([sys.executable, "-S", "-c", self.SCRIPT, str(folder), "{path}", "{reason}"])

    def received(self) -> list[str]:
        file = self._folder / "received"
        return file.read_text().split() if file.exists() else []

    def break_receiver(self) -> None:
        (self._folder / "broken").touch()

    def mend_receiver(self) -> None:
        (self._folder / "broken").unlink()


class WebhookRig:
    def __init__(self, _folder: Path) -> None:
        self._sink = HttpSink()
        url = self._sink.url
        self.channel = WebhookChannel(lambda: url, lambda: "key", timeout_s=10)

    def received(self) -> list[str]:
        return [each["key"] for each in self._sink.documents()]

    def break_receiver(self) -> None:
        self._sink.mood = "refuse"

    def mend_receiver(self) -> None:
        self._sink.mood = "take"

    def close(self) -> None:
        self._sink.close()


class FolderRig:
    def __init__(self, folder: Path) -> None:
        self._hits = folder / "hits"
        self.channel = FolderChannel(self._hits)

    def received(self) -> list[str]:
        with (self._hits / TABLE).open(encoding="utf-8", newline="") as table:
            return [row["key"] for row in csv.DictReader(table)]

    def break_receiver(self) -> None:
        self._hits.write_text("in the way")

    def mend_receiver(self) -> None:
        self._hits.unlink()


class MqttRig:
    def __init__(self, folder: Path) -> None:
        pytest.importorskip("paho.mqtt.client", reason="needs the extra mqtt")
        if MOSQUITTO is None:
            pytest.skip("needs mosquitto")
        self._broker = Broker(folder)
        self.channel = MqttChannel(MqttSettings(kind="mqtt", host="127.0.0.1", port=self._broker.port))
        self._sent = 0
        send = self.channel.send
        self.channel.send = lambda alert: (send(alert), setattr(self, "_sent", self._sent + 1))[0]

    def received(self) -> list[str]:
        until = time.monotonic() + 10  # the broker has it; the subscriber has it soon
        while len(found := self._alerts()) < self._sent and time.monotonic() < until:
            time.sleep(0.01)
        return found

    def _alerts(self) -> list[str]:
        return [document["key"] for topic, document, _ in self._broker.taken if topic == "emwatch/alert"]

    def break_receiver(self) -> None:
        self._broker.stop()

    def mend_receiver(self) -> None:
        self._broker.start()

    def close(self) -> None:
        self._broker.stop()


class NotifyRig:
    def __init__(self, _folder: Path) -> None:
        pytest.importorskip("apprise", reason="needs the extra notify")
        self._sink = HttpSink()
        address = f"json://127.0.0.1:{self._sink.port}/"
        self.channel = NotifyChannel(lambda: address)

    def received(self) -> list[str]:
        return [each["message"].rpartition("alert ")[2].strip() for each in self._sink.documents()]

    def break_receiver(self) -> None:
        self._sink.mood = "refuse"

    def mend_receiver(self) -> None:
        self._sink.mood = "take"

    def close(self) -> None:
        self._sink.close()


RIGS = {
    "recording": RecordingRig,
    "terminal": TerminalRig,
    "command": CommandRig,
    "webhook": WebhookRig,
    "folder": FolderRig,
    "mqtt": MqttRig,
    "notify": NotifyRig,
}


#: Their libraries are extras.
NEEDS_EXTRA = {"mqtt", "notify"}


@pytest.fixture(
    name="rig", params=[pytest.param(each, marks=[pytest.mark.slow] * (each in NEEDS_EXTRA)) for each in RIGS]
)
def _rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    rig = RIGS[request.param](tmp_path)
    yield rig
    getattr(rig, "close", lambda: None)()


def test_every_registered_kind_is_under_this_contract() -> None:
    assert set(BY_KIND) <= set(RIGS)


def test_a_channel_is_one_and_says_its_kind(rig: Rig) -> None:
    assert isinstance(rig.channel, Channel)
    assert rig.channel.kind in RIGS


def test_an_alert_is_with_the_receiver_when_send_returns(rig: Rig) -> None:
    rig.channel.send(make_alert("k1"))

    assert rig.received() == ["k1"]


def test_alerts_arrive_in_the_order_they_were_sent(rig: Rig) -> None:
    for key in ("k1", "k2", "k3"):
        rig.channel.send(make_alert(key))

    assert rig.received() == ["k1", "k2", "k3"]


def test_the_same_alert_may_come_again_with_the_same_key(rig: Rig) -> None:
    rig.channel.send(make_alert("k1"))
    rig.channel.send(make_alert("k1"))

    assert rig.received() == ["k1", "k1"]


def test_a_receiver_that_fails_is_an_alert_error_and_nothing_else(rig: Rig) -> None:
    rig.break_receiver()

    with pytest.raises(AlertError, match=rig.channel.kind):
        rig.channel.send(make_alert("k1"))


def test_a_channel_takes_alerts_again_once_its_receiver_is_mended(rig: Rig) -> None:
    rig.break_receiver()
    with pytest.raises(AlertError):
        rig.channel.send(make_alert("k1"))
    rig.mend_receiver()
    rig.channel.send(make_alert("k1"))

    assert rig.received() == ["k1"]


@pytest.mark.parametrize(
    "path",
    [
        "/acq/-rf.tif",
        "/acq/$(touch x); `id` \"'.tif",
        "/acq/new\nline\x1b[31m.tif",
        "/acq/µ_試料 {path}.tif",
        "/acq/latin\udce9.tif",
        "/acq/back\\slash.tif",
        "/acq/" + "long" * 1000,
    ],
)
def test_no_file_name_stops_an_alert(rig: Rig, path: str) -> None:
    rig.channel.send(make_alert(path=Path(path), reason="reason with \0 and \x1b[2J and \n"))

    assert rig.received() == ["k1"]
