from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = "80df8606fcdb4b2bae1656f0dc6db8ba"


def archive_of(category: str, pictures: int = 3, *, compression: str = "") -> bytes:
    """A tar archive as the public set has them: a folder named as the category, pictures and some litter in it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        folder = tarfile.TarInfo(category)
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for number in range(pictures):
            add(archive, f"{category}/L{number}_{number:08x}aa11bb.jpg", picture(number))
        add(archive, f"{category}/.DS_Store", b"litter")
        add(archive, f"{category}/notes.txt", b"litter")
    return file.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 128), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG")
    return file.getvalue()


@dataclass
class Repository:
    """A real HTTP server with B2SHARE's API, that can be told to misbehave. Everything it was asked is in ``asked``."""

    files: dict[str, bytes] = field(default_factory=dict)
    version: int = 3  #: of the API: 2 lists ``contents``, 3 lists ``entries``
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)  #: bytes of each answer to come before the line breaks
    hang_after: int | None = None  #: bytes of the next answer to come before the server says no more
    hanging: threading.Event = field(default_factory=threading.Event)  #: set while it does
    goes_on: threading.Event = field(default_factory=threading.Event)  #: ends it
    statuses: list[int] = field(default_factory=list)  #: answered to the next requests for content instead
    retry_after: str = ""
    md5: dict[str, str] = field(default_factory=dict)  #: lies about checksums
    sizes: dict[str, int] = field(default_factory=dict)  #: lies about sizes
    asked: list[tuple[str, str]] = field(default_factory=list)  #: path and Range
    url: str = ""

    def listing(self) -> dict[str, Any]:
        rows = []
        for name, content in self.files.items():
            md5 = self.md5.get(name, hashlib.md5(content, usedforsecurity=False).hexdigest())
            row = {"key": name, "size": self.sizes.get(name, len(content)), "checksum": f"md5:{md5}"}
            link = f"{self.url}/content/{name}"
            rows.append(
                row | {"links": {"self": link} if self.version == 2 else {"self": f"{link}/about", "content": link}}
            )
        return {"contents" if self.version == 2 else "entries": rows}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repository: Repository

    def do_GET(self) -> None:
        repository = self.repository
        repository.asked.append((self.path, self.headers.get("Range", "")))
        if self.path == f"/api/records/{RECORD}":
            self._document({"id": RECORD, "links": {"files": f"{repository.url}/listing"}})
        elif self.path == "/listing":
            self._document(repository.listing())
        elif repository.statuses:
            self.send_response(repository.statuses.pop(0))
            if repository.retry_after:
                self.send_header("Retry-After", repository.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._content(repository.files.get(self.path.removeprefix("/content/")))

    def _document(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _content(self, content: bytes | None) -> None:
        start = 0
        wanted = self.headers.get("Range", "") if self.repository.ranges else ""
        if wanted:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if content is None or start > len(content) - bool(wanted):
            self.send_error(404 if content is None else 416)
            return
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.repository.hang_after is not None:
            self.wfile.write(content[start : start + self.repository.hang_after])
            self.repository.hang_after = None
            self.repository.hanging.set()
            self.repository.goes_on.wait(60)
            self.close_connection = True
        elif self.repository.break_after:
            self.wfile.write(content[start : start + self.repository.break_after.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(content[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(name="repository")
def _repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setenv("no_proxy", "*")
    repository = Repository()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"repository": repository}))
    repository.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    yield repository
    repository.goes_on.set()
    server.shutdown()
    thread.join()
    server.server_close()
