"""Receivers of alerts for tests: an HTTP server, a mosquitto broker with a subscriber, both of which can be broken."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        sink = self.server.sink
        sink.seen += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mood = sink.mood
        if mood == "hang":
            time.sleep(3600)
        elif mood == "drip":
            self._drip()
        elif mood == "away":
            self._answer(307, f"http://localhost:{sink.port}/taken")
        elif mood == "moved" and self.path != "/moved":
            self._answer(308, "/moved")
        elif mood == "refuse":
            self._answer(503)
        elif mood == "busy":
            self._answer(429, retry_after=sink.retry_after)
        else:
            sink.posts.append((dict(self.headers), body))
            self._answer(204)

    def _answer(self, status: int, location: str = "", retry_after: str = "") -> None:
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drip(self) -> None:
        try:
            for letter in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: drip\r\n" * 1000:
                self.wfile.write(bytes([letter]))
                time.sleep(0.05)
        except OSError:
            return

    def log_message(self, *_arguments: Any) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    sink: HttpSink

    def handle_error(self, *_arguments: Any) -> None:
        return


class HttpSink:
    """
    Takes posts on 127.0.0.1; ``mood`` decides: take, refuse, busy (429 with ``retry_after``), hang, drip, away (to
    another host), moved (here).

    ``posts`` holds what was taken: headers and bodies. ``seen`` counts every request.
    """

    def __init__(self) -> None:
        self.mood = "take"
        self.retry_after = ""
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.seen = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.sink = self
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.posts]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Broker:
    """A mosquitto and a subscriber to everything on it; ``taken`` holds (topic, document, retained)."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.taken: list[tuple[str, dict[str, Any], bool]] = []
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Any = None
        self.start()

    def start(self) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)
        subscribed = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2)
        client.on_subscribe = lambda *_arguments: subscribed.set()
        client.on_message = lambda _client, _data, message: self.taken.append(
            (message.topic, json.loads(message.payload), bool(message.retain))
        )
        client.connect("127.0.0.1", self.port, keepalive=3600)
        client.subscribe("#", qos=1)
        client.loop_start()
        assert subscribed.wait(10)
        self._client = client

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stop it in its tracks: connections are taken and never answered."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on; the subscriber has missed nothing."""
        self._process.send_signal(signal.SIGCONT)
