"""
Electronic notebooks for the tests: servers on loopback that speak the part of each notebook's API that emwatch uses.

Written from the published API of eLabFTW (https://doc.elabftw.net/api/v2/) and from what the clients of ELOG send and
read (its own command-line client; the library py_elog); real servers were not at hand.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shown(NamedTuple):
    """An entry, as somebody sees it in the notebook."""

    title: str
    body: str
    files: dict[str, str]  #: name -> sha256


class NotebookServer(ThreadingHTTPServer):
    """What the tests ask of each server."""

    daemon_threads = True
    kind: str
    token: str
    path: str  #: of the notebook's address

    def __init__(self, answers: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), answers)
        self.status = 0  #: answered to everything, unless 0
        self.says: bytes | None = None  #: to everything, unless None
        self.refused = b""  #: what holds this is answered by 400, unless empty
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{self.path}"

    def entries(self) -> list[Shown]:
        raise NotImplementedError

    def lose_files(self) -> None:
        """Be as after a connection that broke before the files came."""
        raise NotImplementedError


class Answers(BaseHTTPRequestHandler):
    """Answers requests by ``handle_asked``."""

    server: Any

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", kind: str = "text/html", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        self.server.asked.append((self.command, address.path))
        if self.server.status:
            return self.answer(self.server.status, b"out of order")
        if self.server.says is not None:
            return self.answer(200, self.server.says, "application/json")
        if self.server.refused and self.server.refused in body:
            return self.answer(400, b"not that")
        return self.handle_asked(address.path, parse_qs(address.query), body)

    def handle_asked(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        raise NotImplementedError

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names that the library asks for

    def parts(self, body: bytes) -> list[tuple[str, str | None, bytes]]:
        """Return the parts of a form: name, file name, content."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        said = message_from_bytes(head + body, policy=HTTP)
        return [
            (
                str(part.get_param("name", header="content-disposition")),
                part.get_filename(),
                part.get_payload(decode=True),
            )
            for part in said.iter_parts()
        ]


class ELab(NotebookServer):
    """Experiments and their files, kept in memory."""

    kind, token, path = "elabftw", "3-0123456789abcdef", "/api/v2"

    def __init__(self) -> None:
        super().__init__(ELabAnswers)
        self.experiments: dict[int, dict[str, Any]] = {}
        self.uploads: dict[int, dict[int, dict[str, Any]]] = {}

    def entries(self) -> list[Shown]:
        return [
            Shown(each["title"], each["body"], {file["real_name"]: file["hash"] for file in self._files(number)})
            for number, each in self.experiments.items()
        ]

    def _files(self, number: int) -> list[dict[str, Any]]:
        return list(self.uploads.get(number, {}).values())

    def lose_files(self) -> None:
        self.uploads.clear()


class ELabAnswers(Answers):
    def _json(self, status: int, document: Any = None, location: str = "") -> None:
        content = b"" if document is None else json.dumps(document).encode()
        headers = {"Location": self.server.url + location} if location else {}
        self.answer(status, content, "application/json", **headers)

    def handle_asked(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        if self.headers.get("Authorization") != self.server.token:
            return self._json(401, {"description": "no such key"})
        place = path.removeprefix("/api/v2")
        experiments, uploads = self.server.experiments, self.server.uploads
        if place == "/experiments" and self.command == "GET":
            found = [each for each in experiments.values() if query["q"][0] in each["title"] + each["body"]]
            return self._json(200, found)
        if place == "/experiments" and self.command == "POST":
            number = max(experiments, default=0) + 1
            experiments[number] = {"id": number, "title": "Untitled", "body": ""}
            return self._json(201, location=f"/experiments/{number}")
        number, rest = re.fullmatch(r"/experiments/(\d+)(/uploads(?:/\d+)?)?", place).groups()
        number = int(number)
        if rest is None and self.command == "PATCH":
            experiments[number] |= json.loads(body)
            return self._json(200, experiments[number])
        if self.command == "DELETE":
            del experiments[number]
            return self._json(204)
        files = uploads.setdefault(number, {})
        if self.command == "GET":
            return self._json(200, [{"id": key, **each} for key, each in files.items()])
        name, content = next((name, content) for field, name, content in self.parts(body) if field == "file")
        key = len(files) + 1 if rest == "/uploads" else int(rest.rpartition("/")[2])
        files[key] = {"real_name": name, "hash": hashlib.sha256(content).hexdigest(), "size": len(content)}
        return self._json(201, location=f"{place}/{key}")


class Elogd(NotebookServer):
    """A logbook "SEM lab" with the attributes Author, Type (required) and Subject, for one user."""

    kind, token, path = "elog", "anna:needle 5:3", "/books/SEM+lab/?Type=Routine"

    def __init__(self) -> None:
        super().__init__(ElogdAnswers)
        self.messages: dict[int, dict[str, str]] = {}
        self.files: dict[int, dict[str, bytes]] = {}  #: number -> stored name -> content
        self.moved_to = ""  #: where everything is sent to, unless empty
        self.is_endless = False  #: a list of entries goes on, for 256 MB, as long as somebody reads
        self.sent = 0  #: bytes of such lists

    def entries(self) -> list[Shown]:
        return [
            Shown(
                each["Subject"],
                each["Text"],
                {name[14:]: hashlib.sha256(content).hexdigest() for name, content in self.files[number].items()},
            )
            for number, each in self.messages.items()
        ]

    def lose_files(self) -> None:
        for files in self.files.values():
            files.clear()


class ElogdAnswers(Answers):
    def handle_asked(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        place, _, last = path.rpartition("/")
        if self.server.moved_to:
            return self.answer(302, Location=self.server.moved_to)
        if place != "/books/SEM+lab":
            return self.answer(200, b"<title>ELOG Logbook Selection</title>")
        if self.command == "POST" and b'name="cmd"' not in body:
            given = parse_qs(body.decode(), keep_blank_values=True)
            right = f"{given['uname'][0]}:{given['upassword'][0]}" == self.server.token
            headers = {"Set_Cookie": "sid=F00D; path=/"} if right else {}
            return self.answer(302, Location="." if right else "?fail=1", **headers)
        if "sid=F00D" not in self.headers.get("Cookie", ""):
            return self.answer(200, b"<form name=form1><input type=password name=upassword>")
        if self.command == "POST":
            return self._submit(body)
        if not last:
            found = [number for number, each in self.server.messages.items() if query["subtext"][0] in each["Text"]]
            if self.server.is_endless:
                return self._go_on()
            rows = "".join(f'<td class="list1"><a href="../SEM+lab/{each}">{each}</a></td>' for each in found)
            return self.answer(
                200,
                f"<a href='../SEM+lab/?cmd=New'>New</a><table><tr>{rows}</tr></table>".encode(),
            )
        return self._download(int(last))

    def _go_on(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            while self.server.sent < 256 << 20:
                self.wfile.write(bytes(1 << 20))
                self.server.sent += 1 << 20

    def _submit(self, body: bytes) -> None:
        parts = self.parts(body)
        form = {name: content.decode() for name, file, content in parts if not name.startswith("attfile")}
        if not form.get("Type"):
            return self.answer(404, b'<td class="errormsg" colspan=2>Error: Attribute <b>Type</b> not supplied.</td>')
        number = int(form.get("edit_id") or len(self.server.messages) + 1)
        before = self.server.files.get(number, {})
        kept = {form[name] for name in form if re.fullmatch(r"attachment\d+", name)}
        files = {name: content for name, content in before.items() if name in kept}
        files |= {f"261129_120000_{file}": content for name, file, content in parts if name.startswith("attfile")}
        self.server.messages[number] = {name: form.get(name, "") for name in ("Author", "Type", "Subject", "Text")}
        self.server.files[number] = files
        return self.answer(302, Location=f"{number}")

    def _download(self, number: int) -> None:
        said = self.server.messages.get(number)
        if said is None:
            return self.answer(200, b'<td class="errormsg">This entry has been deleted</td>')
        head = [f"$@MID@$: {number}", "Date: Sun, 29 Nov 2026 12:00:00 +0000"]
        head += [f"{name}: {said[name]}" for name in ("Author", "Type", "Subject")]
        head += [f"Attachment: {','.join(self.server.files[number])}", "Encoding: HTML", "=" * 40, said["Text"]]
        return self.answer(200, "\n".join(head).encode(), "application/octet-stream")


@contextlib.contextmanager
def serving(server: NotebookServer) -> Iterator[NotebookServer]:
    """Serve in a thread until the end of the block."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


SERVERS = (ELab, Elogd)
