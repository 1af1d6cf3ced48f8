"""What every channel must do, whatever it is made of."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from emwatch.alerts.channel import Channel
from emwatch.alerts.command import CommandChannel
from emwatch.alerts.registry import BY_KIND
from emwatch.alerts.terminal import TerminalChannel
from emwatch.cli.terminal.lines import PlainLines
from emwatch.errors import AlertError
from emwatch.testing import RecordingChannel, make_alert

if TYPE_CHECKING:
    from emwatch.frame import Alert


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


RIGS = {"recording": RecordingRig, "terminal": TerminalRig, "command": CommandRig}


@pytest.fixture(name="rig", params=RIGS)
def _rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return RIGS[request.param](tmp_path)


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
