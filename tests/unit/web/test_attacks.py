"""What is tried against a page, each refused by a real server over real sockets."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.config import Config

    from .conftest import Open

BOUNDARY = "x-x-x"
EVIL = '<script>alert("x")</script>'


@pytest.fixture(name="server", scope="module")
def _server(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of ``emwatch serve``."""
    command = [sys.executable, "-m", "emwatch", "serve", "--config", str(recorded / "lab.yaml"), "--port", "0"]
    cache = tmp_path_factory.mktemp("cache")
    process = subprocess.Popen([*command, "--cache", str(cache)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = re.search(r":(\d+)/", process.stderr.readline())
    assert found is not None
    yield int(found[1])
    process.terminate()
    process.wait(20)
    process.stderr.close()


def _ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request as it is written: nothing is tidied up on the way."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def _upload(port: int, content: bytes, name: str = "a.tif") -> tuple[int, dict[str, Any]]:
    disposition = f'Content-Disposition: form-data; name="picture"; filename="{name}"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: image/tiff\r\n\r\n"
    body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    status, _, answer = _ask(port, "POST", "/api/v1/ask", body, Content_Type=kind)
    return status, json.loads(answer)


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../../etc/passwd", "/static/%2e%2e/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"),
        *("/%2e%2e/%2e%2e/etc/passwd", "/static/..%5capp.py", "/api/v1/frames/..%2f1/picture", "/static/%00app.py"),
    ],
)
def test_a_path_out_of_the_page_leads_nowhere(server: int, path: str) -> None:
    status, _, body = _ask(server, "GET", path)

    assert status == 404
    assert b"root:" not in body
    assert b"create_app" not in body


def test_a_link_out_of_the_acquisition_directory_shows_nothing(browser: Open, config: Config, tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    Image.new("L", (64, 64), 99).save(secret)
    link = tmp_path / "frame_0002.tif"
    link.symlink_to(secret)
    with closing(sqlite3.connect(config.ledger.path)) as ledger, ledger:
        ledger.execute("UPDATE frames SET path = ? WHERE id = 2", (str(link),))

    answer = browser().get("/api/v1/frames/2/picture")
    assert answer.status_code == 422
    assert answer.json["error"]["message"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "[::1", "localhost@evil.example", ""])
def test_another_name_is_not_answered(server: int, host: str) -> None:
    status, _, body = _ask(server, "GET", "/api/v1/frames", Host=host)

    assert status in {400, 421}
    assert b"frame_000" not in body


@pytest.mark.parametrize(
    "path", ["/api/v1/reviews", "/api/v1/alerts", "/api/v1/targets/learn", "/api/v1/ask", "/login"]
)
def test_a_form_on_another_page_changes_nothing(server: int, path: str) -> None:
    status, _, _ = _ask(server, "POST", path, b"{}", Origin="https://evil.example", Content_Type="text/plain")

    assert status == 403


def test_a_bomb_of_30_000_pixels_a_side_costs_nothing(server: int) -> None:
    began = time.monotonic()
    status, answer = _upload(server, _bomb(), "bomb.png")

    assert status == 422
    assert answer["error"]["message"].startswith("bomb.png: more pixels")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("disguise", ["html", "zip", "pdf"])
def test_a_picture_that_is_also_something_else_is_only_a_picture(server: int, recorded: Path, disguise: str) -> None:
    frame = (recorded / "frames" / "frame_0001.tif").read_bytes()
    tail = {"html": EVIL.encode(), "zip": b"PK\5\6" + bytes(18), "pdf": b"%PDF-1.7\n%%EOF"}[disguise]
    status, answer = _upload(server, frame + tail, f"a.{disguise}")

    assert status == 200
    assert answer["image"]["format"] == "TIFF"
    status, _ = _upload(server, tail + frame, f"a.{disguise}")
    assert status == 422, "what begins as something else is no picture"


@pytest.mark.parametrize("path", ["/api/v1/reviews", "/api/v1/alerts", "/api/v1/targets/learn"])
@pytest.mark.parametrize(
    "body",
    [
        *(b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b"\xff\xfe", b"1" * 5000, b""),
        b'{"frames": [1], "verdict": "reject", "note": "\\ud800", "do": "snooze", "target": "", "minutes": 5}',
        b'{"name": "\\ud800", "wanted": [1, 2]}',
    ],
)
def test_a_document_that_makes_no_sense_is_refused_and_changes_nothing(
    server: int, recorded: Path, path: str, body: bytes
) -> None:
    status, _, answer = _ask(server, "POST", path, body, Content_Type="application/json")

    assert status == 400
    assert json.loads(answer)["error"]["message"]
    assert not list(recorded.glob("ledger.sqlite3.*/*.json"))


@pytest.mark.parametrize("length", [700 << 20, 99_999_999_999])
def test_an_upload_that_is_too_large_is_not_read(server: int, length: int) -> None:
    with socket.create_connection(("127.0.0.1", server), timeout=3) as client:
        head = f"POST /api/v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        client.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        assert b" 413 " in client.recv(4096).split(b"\r\n")[0]


def test_clients_that_send_slowly_do_not_keep_others_waiting(server: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", server), timeout=30) for _ in range(60)]
    try:
        for each in slow:
            each.sendall(b"POST /api/v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        began = time.monotonic()
        status, _, _ = _ask(server, "GET", "/api/v1/openapi.json")
        assert status == 200
        assert time.monotonic() - began < 5
    finally:
        for each in slow:
            each.close()


@pytest.mark.parametrize(
    "path", ["/frames?path=a%0d%0aSet-Cookie:%20x=1", "/%0d%0aSet-Cookie:%20x=1", "/login?next=%0d%0aX:1"]
)
def test_a_line_break_in_the_address_adds_no_header(server: int, path: str) -> None:
    _, headers, _ = _ask(server, "GET", path)

    assert "Set-Cookie" not in headers
    assert "X" not in headers


def test_a_request_hidden_in_another_is_not_answered(server: int) -> None:
    with socket.create_connection(("127.0.0.1", server), timeout=30) as client:
        client.sendall(
            b"POST /api/v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        )
        client.shutdown(socket.SHUT_WR)
        got = b""
        while piece := client.recv(65536):
            got += piece
    assert b"emwatch_frames" not in got


def test_a_script_in_names_and_metadata_stays_text(browser: Open, config: Config) -> None:
    with closing(sqlite3.connect(config.ledger.path)) as ledger, ledger:
        ledger.execute("UPDATE frames SET path = ? WHERE id = 2", (f"/acq/{EVIL}.tif",))
        ledger.execute("UPDATE metadata SET detector = ?, vendor = ? WHERE frame_id = 2", (EVIL, EVIL))
        readings = json.loads(ledger.execute("SELECT readings FROM metadata WHERE frame_id = 2").fetchone()[0])
        for each in readings.values():
            each["raw"] = EVIL
        ledger.execute("UPDATE metadata SET readings = ? WHERE frame_id = 2", (json.dumps(readings),))
        ledger.execute("UPDATE matches SET target = ?, reason = ? WHERE frame_id = 2", (EVIL, EVIL))
        ledger.execute("UPDATE alerts SET target = ?, last_error = ?, reason = ? WHERE frame_id = 2", (EVIL,) * 3)
    client = browser()

    for path in ("/frames/2", "/frames", "/map", "/"):
        text = client.get(path).text
        assert "<script>alert" not in text
    assert client.get("/frames/2").text.count("&lt;script&gt;") > 5
    for path in ("/api/v1/frames/2", "/api/v1/targets", "/api/v1/alerts", "/api/v1/choices", "/metrics"):
        answer = client.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "html" not in answer.content_type


def test_an_address_that_names_a_script_is_shown_as_text(browser: Open) -> None:
    text = browser().get("/frames", query_string={"path": EVIL, "colour": EVIL}).text

    assert EVIL not in text


def test_many_clients_at_once_get_an_answer(server: int) -> None:
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(_ask(server, "GET", "/api/v1/frames?limit=5")[0]))
        for _ in range(30)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)

    assert answers == [200] * 30


def _bomb() -> bytes:
    """A PNG file of a few hundred bytes that claims to hold 30,000 x 30,000 pixels."""
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, format="PNG")
    content = bytearray(file.getvalue())
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)
