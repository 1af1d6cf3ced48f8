"""Sessions in an electronic notebook: every kind of notebook keeps the same promises."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from emwatch.cli.main import cli
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_outcome, make_reading, make_stat_key
from tests.notebook_servers import SERVERS, Elogd, NotebookServer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from click.testing import Result

pytest.importorskip("elabapi_python", reason="needs the notebook extra")
pytest.importorskip("requests", reason="needs the notebook extra")
pytest.importorskip("jinja2", reason="needs the notebook extra")

pytestmark = pytest.mark.slow


@pytest.fixture(name="server", params=SERVERS, ids=lambda each: each.kind)
def _server(request: pytest.FixtureRequest) -> Iterator[NotebookServer]:
    with serving(request.param()) as server:
        yield server


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "lab.yaml").write_text("watch: {directory: frames}\nledger: {path: ledger.sqlite3}\n")
    (tmp_path / "frames").mkdir()
    record(tmp_path, "a")
    return tmp_path


def record(lab: Path, name: str, at: datetime = NOON) -> None:
    path = lab / "frames" / f"{name}.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)).save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with Ledger(lab / "ledger.sqlite3") as ledger:
        reading = make_reading(path, sha256=sha256, stat_key=make_stat_key())
        ledger.record(make_outcome(path, reading=reading, sha256=sha256, targets=("tips",)), at)


def record_another_session(lab: Path) -> None:
    """Record a frame of another day."""
    later = NOON.replace(day=9)
    with Ledger(lab / "ledger.sqlite3") as ledger:
        ledger.record(make_outcome("/acq/later.tif", "later", written_at=later), later)


def post(
    lab: Path,
    server: NotebookServer,
    *more: str,
    url: str | None = None,
    token: str | None = None,
    session: str = "last",
) -> Result:
    arguments = ["report", session, "--post", server.kind, "--config", str(lab / "lab.yaml"), *more]
    arguments += ["--notebook-url", server.url if url is None else url]
    said = {"EMWATCH_NOTEBOOK_TOKEN": server.token if token is None else token}
    return CliRunner().invoke(cli, arguments, env=said)


def test_a_session_is_posted_with_its_pictures(lab: Path, server: NotebookServer) -> None:
    ended = post(lab, server)
    assert ended.exit_code == 0, ended.output
    (entry,) = server.entries()
    assert entry.title.startswith("SEM session 2026-03-01")
    assert "<td>met a target</td><td>1</td>" in entry.body
    assert list(entry.files) == ["emwatch-report.html", "frame-1.jpg"]
    assert "posted: session 1 at http://127.0.0.1:" in ended.stderr
    assert server.token not in ended.output
    assert "not a variable of emwatch" not in ended.output


def test_posted_again_the_same_entry_is_brought_up_to_date(lab: Path, server: NotebookServer) -> None:
    post(lab, server)
    (before,) = server.entries()
    record(lab, "b")
    ended = post(lab, server)
    assert ended.exit_code == 0, ended.output
    (entry,) = server.entries()
    assert "<td>met a target</td><td>2</td>" in entry.body
    assert sorted(entry.files) == ["emwatch-report.html", "frame-1.jpg", "frame-2.jpg"]
    assert entry.files["emwatch-report.html"] != before.files["emwatch-report.html"]


def test_a_ledger_begun_anew_takes_no_entry_of_the_one_before(lab: Path, server: NotebookServer) -> None:
    post(lab, server)
    for each in lab.glob("ledger.sqlite3*"):
        each.unlink()
    record(lab, "b", NOON.replace(day=9))
    ended = post(lab, server)
    assert ended.exit_code == 0, ended.output
    assert len(server.entries()) == 2


def test_an_entry_that_a_break_left_behind_is_found_again(lab: Path, server: NotebookServer) -> None:
    post(lab, server)
    server.lose_files()
    post(lab, server)
    (entry,) = server.entries()
    assert len(entry.files) == 2


def test_while_the_notebook_is_away_the_session_waits_and_goes_later(lab: Path, server: NotebookServer) -> None:
    server.status = 503
    ended = post(lab, server)
    assert ended.exit_code == 1
    assert "answers 503" in ended.stderr
    assert "session 1 waits in " in ended.stderr
    kept = (lab / "ledger.sqlite3.notebook.json").read_text("utf-8")
    assert json.loads(kept) == [[server.kind, server.url, 1]]
    assert server.token not in kept
    post(lab, server)
    assert len(json.loads((lab / "ledger.sqlite3.notebook.json").read_text("utf-8"))) == 1
    server.status = 0
    record_another_session(lab)
    ended = post(lab, server)
    assert ended.exit_code == 0, ended.output
    assert "posted: session 1 at" in ended.stderr
    assert "posted: session 2 at" in ended.stderr
    assert len(server.entries()) == 2
    assert json.loads((lab / "ledger.sqlite3.notebook.json").read_text("utf-8")) == []


def test_a_session_that_waited_and_is_refused_holds_up_no_other(lab: Path, server: NotebookServer) -> None:
    server.status = 503
    post(lab, server)
    server.status, server.refused = 0, b"2026-03-01"
    record_another_session(lab)
    ended = post(lab, server)
    assert ended.exit_code == 0, ended.output
    assert "session 1, which waited, is refused: " in ended.stderr
    assert "posted: session 2 at" in ended.stderr
    (entry,) = server.entries()  # no empty one beside it
    assert "2026-03-09" in entry.title
    waiting = lab / "ledger.sqlite3.notebook.json"
    assert json.loads(waiting.read_text("utf-8")) == [[server.kind, server.url, 1]]
    ended = post(lab, server, session="1")  # by itself: somebody hears of it
    assert ended.exit_code == 1
    assert "answers 400" in ended.stderr
    assert json.loads(waiting.read_text("utf-8")) == []
    assert len(server.entries()) == 1


@pytest.mark.parametrize(
    "said",
    [
        *(
            b"",
            b"null",
            b"7",
            b'"x"',
            b"{}",
            b'{"error": "no"}',
            b"[1]",
            b"[[]]",
            b"[{}]",
            b'[{"id": null}]',
            b'[{"id": "x"}]',
        ),
        *(b"<html>sign in</html>", b"\xff\xfe", b"[" * 100_000, b'[{"id": 1e400}]', b'[{"id": -1, "title": 5}]'),
    ],
    ids=lambda said: repr(said[:20]),
)
def test_a_server_of_another_kind_is_told(lab: Path, server: NotebookServer, said: bytes) -> None:
    server.says = said
    ended = post(lab, server)
    assert isinstance(ended.exception, SystemExit), ended.exception
    assert ended.exit_code == 1
    assert ended.stderr.startswith("error: http://")
    assert not (lab / "ledger.sqlite3.notebook.json").exists()


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("token", "url"),
    [
        *((f"{SECRET}{more}", "") for more in ("\nx", "\r\nX-Mine: 1", "\0x", "\u2028x", "\udcff")),
        *(
            ("right", url)
            for url in (
                *(f"http://anna:{SECRET}@127.0.0.1:9/api/v2", f"http://{SECRET}@127.0.0.1:9/SEM/"),
                *(f"https://127.0.0.1:9/SEM/?unm=anna&upwd={SECRET}", f"https://127.0.0.1:9/x?api_key={SECRET}"),
                *(f"http://anna:{SECRET}@[::1/SEM", f"http://anna:{SECRET}@host:none/SEM/", f"ftp://{SECRET}/x"),
                *(f"anna:{SECRET}@host/SEM", f"host/{SECRET}", f"http:///{SECRET}", f"https://:8080/{SECRET}"),
            )
        ),
    ],
)
def test_a_token_or_address_that_cannot_be_right_is_not_shown_nor_kept(
    lab: Path, server: NotebookServer, token: str, url: str
) -> None:
    given = lab / "token"
    given.write_bytes(token.encode("utf-8", "surrogateescape"))
    ended = post(lab, server, "--token-file", str(given), url=url or None)
    assert ended.exit_code == 78, ended.output
    assert "--token-file" in ended.stderr or "token" in ended.stderr or "--notebook-url is no address" in ended.stderr
    assert SECRET not in ended.output
    assert not ended.exception or isinstance(ended.exception, SystemExit)
    assert not (lab / "ledger.sqlite3.notebook.json").exists()


@pytest.mark.parametrize("file", ["pipe", "/dev/zero", "a folder", "nothing there"])
def test_a_token_file_that_is_none_is_not_waited_for(lab: Path, server: NotebookServer, file: str) -> None:
    os.mkfifo(lab / "pipe")
    (lab / "a folder").mkdir()
    ended = post(lab, server, "--token-file", str(lab / file))
    assert ended.exit_code == 78
    assert "--token-file: " in ended.stderr
    assert " cannot be read: " in ended.stderr


def test_a_token_of_any_letters_is_not_shown(lab: Path, server: NotebookServer) -> None:
    ended = post(lab, server, token=f"{SECRET}\N{RIGHTWARDS ARROW}")
    assert ended.exit_code == 1, ended.output
    assert ended.stderr.startswith("error: ")
    assert SECRET not in ended.output


def test_that_there_is_no_server_is_said_in_one_line(lab: Path, server: NotebookServer) -> None:
    """As a process of its own: libraries log, and complain at the end of Python."""
    arguments = ["report", "last", "--post", server.kind, "--config", str(lab / "lab.yaml")]
    done = subprocess.run(
        [sys.executable, "-m", "emwatch", *arguments, "--notebook-url", "http://127.0.0.1:9/api/v2"],
        env=os.environ | {"EMWATCH_NOTEBOOK_TOKEN": server.token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr


def test_no_server_at_all_is_said(lab: Path, server: NotebookServer) -> None:
    ended = post(lab, server, url=server.url.replace("127.0.0.1", "127.0.0.2"))
    assert ended.exit_code == 1
    assert "does not answer" in ended.stderr
    assert "session 1 waits in " in ended.stderr


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"token": "wrong"}, 1, {"elabftw": "is the token right, and may it write?", "elog": "USER:PASSWORD"}),
        ({"token": ""}, 78, "--token-file FILE, or EMWATCH_NOTEBOOK_TOKEN"),
        ({"url": ""}, 78, {"elabftw": "missing: the server's API", "elog": "missing: the logbook, https://HOST"}),
        ({"more": ("--token-file", "/nowhere")}, 78, "--token-file: /nowhere cannot be read"),
        ({"more": ("--json",)}, 2, "--post excludes --json and --out"),
    ],
)
def test_what_trying_again_would_not_help_does_not_wait(
    lab: Path, server: NotebookServer, change: dict[str, Any], code: int, said: str | dict[str, str]
) -> None:
    ended = post(lab, server, *change.get("more", ()), url=change.get("url"), token=change.get("token"))
    assert (said if isinstance(said, str) else said[server.kind]) in ended.output
    assert ended.exit_code == code
    assert not (lab / "ledger.sqlite3.notebook.json").exists()
    assert not server.entries()


def test_elabftw_is_not_sent_a_picture_that_it_has(lab: Path, server: NotebookServer) -> None:
    if server.kind != "elabftw":
        pytest.skip("an edit of ELOG sends all files anew")
    post(lab, server)
    post(lab, server)
    assert ("POST", "/api/v2/experiments/1/uploads/2") not in server.asked


class TestElog:
    @pytest.fixture(name="elogd")
    def _elogd(self) -> Iterator[Elogd]:
        with serving(Elogd()) as server:
            yield server

    def test_what_others_attached_or_chose_stays(self, lab: Path, elogd: Elogd) -> None:
        post(lab, elogd)
        elogd.files[1]["261129_130000_sketch.png"] = b"by hand"
        elogd.messages[1]["Author"] = "Bert"
        post(lab, elogd)
        assert "261129_130000_sketch.png" in elogd.files[1]
        assert len(elogd.files[1]) == 3

    def test_an_attribute_that_the_logbook_asks_for_is_named(self, lab: Path, elogd: Elogd) -> None:
        ended = post(lab, elogd, url=elogd.url.partition("?")[0])
        assert ended.exit_code == 1
        assert "refuses: Error: Attribute Type not supplied.; attributes that it asks for go behind '?'" in ended.stderr

    def test_an_address_without_a_logbook_is_refused(self, lab: Path, elogd: Elogd) -> None:
        ended = post(lab, elogd, url=elogd.url.partition("/books")[0])
        assert ended.exit_code == 1
        assert "names no logbook: expected https://HOST:8080/LOGBOOK/" in ended.stderr

    def test_another_entry_with_the_words_is_not_taken(self, lab: Path, elogd: Elogd) -> None:
        elogd.messages[1] = {"Author": "Bert", "Type": "Routine", "Subject": "mine", "Text": "SEM session"}
        elogd.files[1] = {}
        post(lab, elogd)
        assert elogd.messages[1]["Text"] == "SEM session"
        assert len(elogd.messages) == 2

    def test_a_server_that_moved_is_not_followed(self, lab: Path, elogd: Elogd) -> None:
        elogd.moved_to = "http://elsewhere.example/books/SEM+lab/"
        ended = post(lab, elogd)
        assert ended.exit_code == 1
        assert "points to http://elsewhere.example/books/SEM+lab/; is this the address now?" in ended.stderr

    def test_an_answer_without_an_end_is_not_read_to_it(self, lab: Path, elogd: Elogd) -> None:
        elogd.is_endless = True
        ended = post(lab, elogd)
        assert ended.exit_code == 0, ended.output
        assert 0 < elogd.sent < 64 << 20
