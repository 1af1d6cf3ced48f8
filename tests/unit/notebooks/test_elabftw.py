"""
Sessions in an electronic notebook: against a server that speaks the part of eLabFTW's API version 2 that emwatch uses.

Written from the published API (https://doc.elabftw.net/api/v2/); a real server was not at hand.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from emwatch.cli.main import cli
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_outcome, make_reading, make_stat_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

pytest.importorskip("elabapi_python", reason="needs the notebook extra")
pytest.importorskip("jinja2", reason="needs the notebook extra")

TOKEN = "3-0123456789abcdef"


class ELab(ThreadingHTTPServer):
    """Experiments and their files, kept in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.experiments: dict[int, dict[str, Any]] = {}
        self.uploads: dict[int, dict[int, dict[str, Any]]] = {}
        self.status = 0  #: answered to everything, unless 0
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/v2"


class Answers(BaseHTTPRequestHandler):
    server: ELab

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, document: Any = None, location: str = "") -> None:
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", self.server.url + location)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path)
        self.server.asked.append((self.command, path.path))
        if self.server.status:
            return self._answer(self.server.status, {"description": "out of order"})
        if self.headers.get("Authorization") != TOKEN:
            return self._answer(401, {"description": "no such key"})
        place = path.path.removeprefix("/api/v2")
        experiments, uploads = self.server.experiments, self.server.uploads
        if place == "/experiments" and self.command == "GET":
            query = parse_qs(path.query)["q"][0]
            found = [each for each in experiments.values() if query in each["title"] + each["body"]]
            return self._answer(200, found)
        if place == "/experiments" and self.command == "POST":
            number = len(experiments) + 1
            experiments[number] = {"id": number, "title": "Untitled", "body": ""}
            return self._answer(201, location=f"/experiments/{number}")
        number, rest = re.fullmatch(r"/experiments/(\d+)(/uploads(?:/\d+)?)?", place).groups()
        number = int(number)
        if rest is None and self.command == "PATCH":
            experiments[number] |= json.loads(body)
            return self._answer(200, experiments[number])
        files = uploads.setdefault(number, {})
        if self.command == "GET":
            return self._answer(200, [{"id": key, **each} for key, each in files.items()])
        name, content = re.search(rb'name="file"; filename="(.*?)".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL).groups()
        key = len(files) + 1 if rest == "/uploads" else int(rest.rpartition("/")[2])
        files[key] = {"real_name": name.decode(), "hash": hashlib.sha256(content).hexdigest(), "size": len(content)}
        return self._answer(201, location=f"{place}/{key}")

    do_GET = do_POST = do_PATCH = _handle  # noqa: N815 - the names that the library asks for


@pytest.fixture(name="elab")
def _elab() -> Iterator[ELab]:
    with ELab() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EMWATCH_NOTEBOOK_TOKEN", TOKEN)
    (tmp_path / "lab.yaml").write_text("watch: {directory: frames}\nledger: {path: ledger.sqlite3}\n")
    (tmp_path / "frames").mkdir()
    record(tmp_path, "a")
    return tmp_path


def record(lab: Path, name: str) -> None:
    path = lab / "frames" / f"{name}.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)).save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with Ledger(lab / "ledger.sqlite3") as ledger:
        reading = make_reading(path, sha256=sha256, stat_key=make_stat_key())
        ledger.record(make_outcome(path, reading=reading, sha256=sha256, targets=("tips",)), NOON)


def post(lab: Path, url: str, *more: str) -> Result:
    arguments = ["report", "last", "--post", "elabftw", "--notebook-url", url, "--config", str(lab / "lab.yaml"), *more]
    return CliRunner().invoke(cli, arguments)


def test_a_session_is_posted_with_its_pictures(lab: Path, elab: ELab) -> None:
    ended = post(lab, elab.url)
    assert ended.exit_code == 0, ended.output
    (experiment,) = elab.experiments.values()
    assert experiment["title"].startswith("SEM session 2026-03-01")
    assert "<td>met a target</td><td>1</td>" in experiment["body"]
    assert [each["real_name"] for each in elab.uploads[1].values()] == ["emwatch-report.html", "frame-1.jpg"]
    assert f"{elab.url.removesuffix('/api/v2')}/experiments.php?mode=view&id=1" in ended.stderr
    assert TOKEN not in ended.output


def test_posted_again_the_same_entry_is_brought_up_to_date(lab: Path, elab: ELab) -> None:
    post(lab, elab.url)
    record(lab, "b")
    ended = post(lab, elab.url)
    assert ended.exit_code == 0, ended.output
    (experiment,) = elab.experiments.values()
    assert "<td>met a target</td><td>2</td>" in experiment["body"]
    names = [each["real_name"] for each in elab.uploads[1].values()]
    assert names == ["emwatch-report.html", "frame-1.jpg", "frame-2.jpg"]
    # A picture that is there already is not sent again.
    assert sum(asked == ("POST", "/api/v2/experiments/1/uploads/2") for asked in elab.asked) == 0


def test_an_entry_that_a_break_left_behind_is_found_again(lab: Path, elab: ELab) -> None:
    post(lab, elab.url)
    elab.uploads.clear()  # the connection broke before the files
    post(lab, elab.url)
    assert len(elab.experiments) == 1
    assert len(elab.uploads[1]) == 2


def test_while_the_notebook_is_away_the_session_waits_and_goes_later(lab: Path, elab: ELab) -> None:
    elab.status = 503
    ended = post(lab, elab.url)
    assert ended.exit_code == 1
    assert "answers 503" in ended.stderr
    assert "session 1 waits in " in ended.stderr
    kept = (lab / "ledger.sqlite3.notebook.json").read_text("utf-8")
    assert json.loads(kept) == [["elabftw", elab.url, 1]]
    assert TOKEN not in kept
    post(lab, elab.url)
    assert len(json.loads((lab / "ledger.sqlite3.notebook.json").read_text("utf-8"))) == 1
    elab.status = 0
    with Ledger(lab / "ledger.sqlite3") as ledger:  # another day, another session
        later = NOON.replace(day=9)
        ledger.record(make_outcome("/acq/later.tif", "later", written_at=later), later)
    ended = post(lab, elab.url)
    assert ended.exit_code == 0, ended.output
    assert "posted: session 1 at" in ended.stderr
    assert "posted: session 2 at" in ended.stderr
    assert len(elab.experiments) == 2
    assert json.loads((lab / "ledger.sqlite3.notebook.json").read_text("utf-8")) == []


def test_no_server_at_all_is_said(lab: Path, elab: ELab) -> None:
    url = elab.url
    elab.server_close()
    ended = post(lab, url.replace("127.0.0.1", "127.0.0.2"))
    assert ended.exit_code == 1
    assert "does not answer" in ended.stderr
    assert "session 1 waits in " in ended.stderr


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"token": "wrong"}, 1, "answers 401 Unauthorized; is the token right, and may it write?"),
        ({"token": ""}, 78, "the notebook's token is missing: --token-file FILE, or EMWATCH_NOTEBOOK_TOKEN"),
        ({"url": ""}, 78, "--notebook-url is missing"),
        ({"more": ("--token-file", "/nowhere")}, 78, "--token-file: /nowhere cannot be read"),
        ({"more": ("--json",)}, 2, "--post excludes --json and --out"),
    ],
)
def test_what_trying_again_would_not_help_does_not_wait(
    lab: Path, elab: ELab, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], code: int, said: str
) -> None:
    monkeypatch.setenv("EMWATCH_NOTEBOOK_TOKEN", change.get("token", TOKEN))
    ended = post(lab, change.get("url", elab.url), *change.get("more", ()))
    assert said in ended.output
    assert ended.exit_code == code
    assert not (lab / "ledger.sqlite3.notebook.json").exists()
    assert not elab.experiments
