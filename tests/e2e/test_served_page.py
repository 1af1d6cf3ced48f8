"""The page that the daemon serves: it comes back when it is killed, follows a reload, and ends with its daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-m", "emwatch"]
SETTINGS = "watch: {directory: frames}\nledger: {path: ledger.sqlite3}\nmodel: {engine: stub}\n"


class Lab:
    """A daemon in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "frames").mkdir()
        self.serve("{serve: true, port: 0}")
        command = [*PROGRAM, "run", "--plain", "--config", "lab.yaml"]
        self.daemon = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def serve(self, web: str) -> None:
        (self.folder / "lab.yaml").write_text(f"{SETTINGS}web: {web}\n")

    def emwatch(self, *arguments: str) -> Any:
        command = [*PROGRAM, *arguments, "--config", "lab.yaml", "--json"]
        return json.loads(subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False).stdout)

    def page(self) -> dict[str, str]:
        """What the status file says of the page."""
        try:
            found: dict[str, str] = json.loads((self.folder / "ledger.sqlite3.status.json").read_text())["page"]
        except (OSError, KeyError):
            return {"address": "", "trouble": ""}
        return found

    def address(self) -> str:
        until(lambda: self.page()["address"])
        return self.page()["address"]

    def children(self) -> list[psutil.Process]:
        running = psutil.Process(self.daemon.pid).children()
        return [each for each in running if "emwatch.web.child" in " ".join(each.cmdline())]


def until(holds: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.05)


def answer(address: str) -> Any:
    with closing(urllib.request.urlopen(f"{address}api/v1/status", timeout=20)) as reply:
        return json.load(reply)


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.daemon.kill()
    lab.daemon.wait()


def test_the_page_is_the_daemon_s_child_and_no_more_than_that(lab: Lab) -> None:
    first = lab.address()
    [child] = lab.children()
    assert answer(first)["pid"] == lab.daemon.pid
    assert child.nice() == min(19, psutil.Process(lab.daemon.pid).nice() + 10)
    assert Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip() == "500"

    child.kill()
    until(lambda: lab.page()["address"] not in {"", first})
    assert answer(lab.address())["running"]

    lab.serve("{serve: true, host: 0.0.0.0, port: 0}")
    lab.daemon.send_signal(signal.SIGHUP)
    until(lambda: "token" in lab.page()["trouble"])
    told = lab.emwatch("status")
    assert any("the page is not served" in each for each in told["warnings"])
    assert any("the page is not served" in each["found"] for each in lab.emwatch("doctor")["findings"])

    lab.serve("{serve: true, port: 0}")
    lab.daemon.send_signal(signal.SIGHUP)
    last = lab.address()
    [child] = lab.children()
    lab.daemon.kill()
    child.wait(10)
    with pytest.raises(OSError, match="refused"):
        answer(last)


def test_the_page_ends_with_a_daemon_that_is_stopped(lab: Lab) -> None:
    lab.address()
    [child] = lab.children()
    lab.daemon.terminate()

    assert lab.daemon.wait(20) == 0
    assert not child.is_running()
