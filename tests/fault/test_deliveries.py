"""Deliveries over real protocols: receivers that refuse, hang, drip, redirect and vanish get everything after their recovery."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import frames
import pytest
from rig import sized

from tests.sinks import MOSQUITTO, Broker, HttpSink, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

SECRET = "T0K3N-do-not-tell"
#: From the recovery of every receiver to the last delivery: a probe comes at most 60 s later.
WITHIN_S = 90


class Mailbox:
    """An SMTP server that wants a password; ``letters`` holds what it took."""

    def __init__(self) -> None:
        pytest.importorskip("apprise", reason="needs the extra notify")
        self.port = free_port()
        self.letters: list[bytes] = []
        self._server: Any = None
        self.start()

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.letters.append(envelope.content)
        return "250 OK"

    def start(self) -> None:
        controller = pytest.importorskip("aiosmtpd.controller", reason="needs the extra channels")
        smtp = pytest.importorskip("aiosmtpd.smtp")
        self._server = controller.Controller(
            self,
            "127.0.0.1",
            self.port,
            authenticator=lambda *_arguments: smtp.AuthResult(success=True),
            auth_require_tls=False,
        )
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(name="sink")
def _sink() -> Iterator[HttpSink]:
    sink = HttpSink()
    yield sink
    sink.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_receiver_that_was_down_has_everything_soon_after_its_recovery(rig: Rig, sink: HttpSink) -> None:
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto")
    pytest.importorskip("paho.mqtt.client", reason="needs the extra mqtt")
    number, down_s = sized(400, 2000), sized(20, 60)
    matches = number // len(frames.CATEGORIES)
    mailbox, broker = Mailbox(), Broker(rig.home)
    (rig.home / "hook.url").write_text(f"{sink.url}/{SECRET}", encoding="utf-8")
    (rig.home / "mail.url").write_text(
        f"mailto://me:{SECRET}@127.0.0.1:{mailbox.port}?from=sem@lab.example&to=me@lab.example&mode=insecure",
        encoding="utf-8",
    )
    rig.configure()
    text = rig.config.read_text(encoding="utf-8").replace("[phone]", "[phone, hook, mail, bus, gather]")
    text += f"  hook: {{kind: webhook, url_from: {{file: {rig.home}/hook.url}}, secret: {{env: HOOK_KEY}}, timeout_seconds: 2}}\n"
    text += f"  mail: {{kind: notify, urls_from: {{file: {rig.home}/mail.url}}, timeout_seconds: 20}}\n"
    text += f"  bus: {{kind: mqtt, host: 127.0.0.1, port: {broker.port}, timeout_seconds: 5}}\n"
    text += f"  gather: {{kind: folder, folder: {rig.home}/hits}}\n"
    rig.config.write_text(text, encoding="utf-8")
    with rig.running("-v", HOOK_KEY=SECRET) as daemon:
        mailbox.stop()
        broker.pause()
        with rig.writer(number, 50):
            for mood in ("refuse", "hang", "drip", "away"):
                sink.mood = mood
                time.sleep(down_s / 4)
        rig.wait_for_count(number)
        sink.mood = "take"
        mailbox.start()
        broker.go_on()
        began = time.monotonic()
        rig.wait_for(
            lambda: rig.query("SELECT count(*) FROM alerts WHERE state <> 'delivered'") == [(0,)], WITHIN_S + 60
        )
        recovered_s = time.monotonic() - began
        lags = sorted(
            lag
            for (lag,) in rig.query(
                "SELECT (julianday(delivered_at) - julianday(created_at)) * 86400 FROM alerts WHERE channel = 'phone'"
            )
        )
        status = rig.program("status", "--json").stdout + rig.program("alerts", "list", "--json").stdout
        said = [*daemon.said]
    kept = {path.name: path.read_bytes() for path in rig.ledger.parent.rglob("*") if path.is_file()}
    taken = {
        "hook": {each["key"] for each in sink.documents()},
        "bus": {document["key"] for topic, document, _ in broker.taken if topic == "emwatch/alert"},
        "mail": {letter.rpartition(b"alert ")[2][:32].decode() for letter in mailbox.letters},
        "gather": {line.rpartition(",")[2] for line in (rig.home / "hits" / "hits.csv").read_text().splitlines()[1:]},
    }
    p95_s = lags[int(0.95 * len(lags))]
    mailbox.stop()
    broker.stop()
    print(
        f"{matches} alerts on each of five channels, three of them down for {down_s} s: all delivered "
        f"{recovered_s:.0f} s after the recovery; the healthy channel's p95 {p95_s:.2f} s; "
        f"{len(mailbox.letters)} letters, {len(sink.posts)} posts"
    )
    queued = {name: {key for (key,) in rig.query("SELECT key FROM alerts WHERE channel = ?", name)} for name in taken}
    assert {name: len(keys) for name, keys in queued.items()} == dict.fromkeys(taken, matches)
    for name, keys in queued.items():
        assert taken[name] == keys, f"{name}: {len(keys - taken[name])} missing, {len(taken[name] - keys)} unknown"
    assert recovered_s <= WITHIN_S
    assert p95_s < 2
    assert not [name for name, content in kept.items() if SECRET.encode() in content and not name.endswith(".url")]
    assert not [line for line in [*said, *status.splitlines()] if SECRET in line]
