"""
How quick the page is on a large ledger, and what open pages cost the daemon.

    python bench/page.py LEDGER [--repeats 5]        # first paint, a filter, the stage map; LEDGER is copied
    python bench/page.py --open-pages 20 [--frames 60] [--chromium]

The browser is Chromium without a window. Open pages are on other machines as a rule: they are stood in for by clients that
ask what ``live.js`` asks (the page, its tiles, events, and two pictures of each new frame) and draw nothing, in a process
that runs only while nobody else wants the processor (SCHED_IDLE). With ``--chromium``, the pages are open in a real browser
of the same priority as well, which then takes cores and memory bandwidth of the PC it is meant not to run on. Turns
without and with pages alternate within one run of the daemon.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROGRAM = [sys.executable, "-m", "emwatch"]
CHROMIUM = "/usr/bin/chromium"
FILTERS = {
    "a category": "category=Tips",
    "hits": "hits=1",
    "a category and a range": "category=Tips&magnification=5k..20k&min_probability=0.9",
    "part of a name": "path=*_0001*",
    "the last session": "session=last",
    "no such frame": "category=Tips&magnification=999k..",
}
#: What a process of the daemon is called, by a part of its command.
KINDS = {
    "emwatch run": "daemon",
    "readers.sandbox.child": "reader",
    "web.child": "server",
    "pictures.child": "picture reader",
}
MAP_QUERY = "state=recorded"


@contextmanager
def served(folder: Path, ledger: Path) -> Iterator[str]:
    """Serve a ledger; yields the address."""
    command = [*PROGRAM, "serve", "--ledger", str(ledger), "--port", "0", "--cache", str(folder / "cache")]
    environ = os.environ | {"HOME": str(folder), "EMWATCH_WATCH_DIRECTORY": str(folder / "frames")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+?(?=/)", process.stderr.readline())
        try:
            yield "" if found is None else found[0]
        finally:
            process.terminate()
            process.wait(30)


def median_ms(measure: Callable[[], float], repeats: int) -> str:
    """Measure once without counting it, then several times; returns median and range."""
    measure()
    found = sorted(measure() for _ in range(repeats))
    return f"{statistics.median(found):6.0f} ms  ({found[0]:.0f} to {found[-1]:.0f}, n = {repeats})"


def answer_ms(address: str) -> float:
    """Milliseconds until an answer is whole."""
    began = time.monotonic()
    with closing(urllib.request.urlopen(address, timeout=120)) as answer:
        answer.read()
    return 1000 * (time.monotonic() - began)


def on_a_large_ledger(ledger: Path, repeats: int) -> None:
    """Print how long pages and filters take."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as home, sync_playwright() as driver:
        folder = Path(home)
        copy = folder / "ledger.sqlite3"
        shutil.copy(ledger, copy)
        with closing(sqlite3.connect(copy)) as opened:
            rows = opened.execute("SELECT count(*) FROM frames").fetchone()[0]
            # A made-up ledger has no sizes: without them the map would draw points.
            opened.execute(
                "UPDATE frames SET width = 1024, height = 768 WHERE id > ? - 15000 AND width IS NULL", (rows,)
            )
            opened.execute(
                "UPDATE metadata SET horizontal_field_width_um = 20 + frame_id % 900, stage_rotation_deg = frame_id % 90 "
                "WHERE frame_id > ? - 15000 AND horizontal_field_width_um IS NULL",
                (rows,),
            )
            opened.commit()
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        def painted_ms(address: str) -> float:
            with closing(browser.new_page(bypass_csp=True)) as page:
                page.goto(address, wait_until="load")
                page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
                return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))

        def drawn_ms(address: str) -> float:
            with closing(browser.new_page(bypass_csp=True)) as page:
                page.goto(address, wait_until="commit")
                page.wait_for_function("document.getElementById('state')?.dataset.drawn")
                return float(page.evaluate("Number(document.getElementById('state').dataset.drawn)"))

        with served(folder, copy) as address:
            print(f"{rows:,} rows, {copy.stat().st_size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}")
            for path in ("/", "/frames", "/review"):
                print(f"first paint of {path:30}{median_ms(lambda path=path: painted_ms(address + path), repeats)}")
            for name, query in FILTERS.items():
                asked = f"{address}/api/v1/frames?{query}"
                print(f"gallery, {name:35}{median_ms(lambda asked=asked: answer_ms(asked), repeats)}")
                asked = f"{address}/frames?{query}"
                print(f"  painted {'':34}{median_ms(lambda asked=asked: painted_ms(asked), repeats)}")
            with closing(urllib.request.urlopen(f"{address}/api/v1/map?{MAP_QUERY}", timeout=120)) as answer:
                frames = len(json.load(answer)["frames"])
            print(
                f"stage map of {frames:,} frames drawn {'':12}{median_ms(lambda: drawn_ms(f'{address}/map?{MAP_QUERY}'), repeats)}"
            )
            for path in ("status", "targets", "choices", "frames/count", "frames/1000"):
                asked = f"{address}/api/v1/{path}"
                print(f"/api/v1/{path:36}{median_ms(lambda asked=asked: answer_ms(asked), repeats)}")
        browser.close()


class OpenPage:
    """A client that asks what an open live page asks: the page itself and its tiles, then two pictures of each new frame."""

    def __init__(self, address: str) -> None:
        self._host = address.removeprefix("http://")
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with closing(http.client.HTTPConnection(self._host, timeout=600)) as events, suppress(OSError):
            pictures = http.client.HTTPConnection(self._host, timeout=60)
            _get(pictures, "/")
            recent = json.loads(_get(pictures, "/api/v1/frames?limit=24"))["frames"]
            for frame in recent:
                self._show(pictures, frame, "size=320")
            last = max((frame["id"] for frame in recent), default=0)
            events.request("GET", f"/api/v1/events?after={last}")
            for line in events.getresponse():
                frame = json.loads(line[6:]) if line.startswith(b"data: ") else {}
                if "picture_version" in frame:
                    self._show(pictures, frame, "size=1280&scale_bar=1")
                    self._show(pictures, frame, "size=320")

    def _show(self, pictures: http.client.HTTPConnection, frame: dict[str, Any], how: str) -> None:
        if frame["state"] == "recorded":
            _get(pictures, f"/api/v1/frames/{frame['id']}/picture?{how}&v={frame['picture_version']}")


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def be_clients(pages: int, address: str) -> None:
    """Hold so many pages open, by clients that draw nothing, until the input ends."""
    _stand_back()
    for _ in range(pages):
        OpenPage(address)
    sys.stdin.read()


def be_browsers(pages: int, address: str) -> None:
    """Hold so many pages open in Chromium, each with connections of its own, until the input ends."""
    from playwright.sync_api import sync_playwright

    _stand_back()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(pages):
            browser.new_context().new_page().goto(address, wait_until="commit")
        print("open", flush=True)
        sys.stdin.read()
        browser.close()


def _stand_back() -> None:
    """Run only while nobody else wants the processor: a page that is open elsewhere takes nothing of this PC."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


@dataclass
class Turn:
    """Some frames of one run: milliseconds from file to row, and the processor seconds of each kind of process."""

    lags_ms: list[float]
    processor_s: dict[str, float]


def turns(order: Sequence[str], pages: int, frames: int) -> Iterator[tuple[str, Turn]]:
    """Run the daemon once; record frames that come at two a second, without open pages and with them by turns."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / "frames").mkdir()
        (folder / "lab.yaml").write_text(
            "watch: {directory: frames, data_bar: never}\nledger: {path: ledger.sqlite3}\nweb: {serve: true, port: 0}\n"
            "targets:\n  - {name: tips, category: Tips}\n"
        )
        environ = os.environ | {"HOME": home, "XDG_CACHE_HOME": str(folder / "cache")}
        command = [*PROGRAM, "run", "--plain", "--config", "lab.yaml"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, cwd=folder, env=environ, **quiet) as daemon:
            try:
                address = _address(folder)
                for number, clients in enumerate(["", *order]):
                    with _open(clients, pages, address) as client:
                        before = _processor_s(daemon.pid, client)
                        making = ["--frames", str(frames), "--rate", "2", "--seed", str(number)]
                        making += ["--first-number", str(number * 1000), "--out", "frames"]
                        subprocess.run([*PROGRAM, "simulate", *making], cwd=folder, env=environ, check=True, **quiet)
                        time.sleep(2)
                        after = _processor_s(daemon.pid, client)
                    spent = {kind: seconds - before.get(kind, 0.0) for kind, seconds in after.items()}
                    if number:  # the first frames of a daemon are slow
                        yield clients, Turn(_lags_ms(folder / "ledger.sqlite3", number), spent)
            finally:
                daemon.terminate()
                daemon.wait(30)


def _lags_ms(ledger: Path, number: int) -> list[float]:
    with closing(sqlite3.connect(ledger)) as opened:
        rows = opened.execute(
            "SELECT first_seen_at, recorded_at FROM frames WHERE state = 'recorded' AND path LIKE ?",
            (f"%frame_{number}___.%",),  # three digits after the turn's number
        ).fetchall()
    moments = [[datetime.fromisoformat(each) for each in row] for row in rows]
    return [1000 * (recorded - seen).total_seconds() for seen, recorded in moments]


@contextmanager
def _open(clients: str, pages: int, address: str) -> Iterator[int | None]:
    """Open pages; yields the number of the process that holds them open, ``None`` if there are none."""
    if not clients:
        time.sleep(3)
        yield None
        return
    command = [sys.executable, __file__, f"--be-{clients}", address, "--open-pages", str(pages)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if clients == "browsers":
            process.stdout.readline()
        time.sleep(3 if clients == "clients" else 10)
        yield process.pid
        process.stdin.close()
        process.wait(30)


def _processor_s(daemon: int, client: int | None) -> dict[str, float]:
    """Return the processor seconds that the daemon, its children and the clients have taken so far."""
    spent: dict[str, float] = {}
    family = [psutil.Process(daemon), *psutil.Process(daemon).children(recursive=True)]
    if client is not None:
        family += [psutil.Process(client), *psutil.Process(client).children(recursive=True)]
    for each in family:
        with suppress(psutil.Error):
            words, times = " ".join(each.cmdline()), each.cpu_times()
            kind = next((kind for text, kind in KINDS.items() if text in words), "clients")
            spent[kind] = spent.get(kind, 0.0) + times.user + times.system
    return spent


def _address(folder: Path) -> str:
    for _ in range(600):
        with suppress(OSError, KeyError):
            status = json.loads((folder / "ledger.sqlite3.status.json").read_text())
            if status["page"]["address"] and status["state"] == "watching":
                return str(status["page"]["address"]).rstrip("/")
        time.sleep(0.1)
    raise SystemExit("the page is not served")


def beside_pages(pages: int, frames: int, kinds: Sequence[str]) -> None:
    """Print the latency of ingest without and with open pages (each ``frames``), and which process took how much."""
    order = ["", *kinds, *reversed(kinds), ""] * 2
    found: dict[str, list[Turn]] = {}
    for clients, turn in turns(order, pages, max(2, frames // 4)):
        found.setdefault(clients, []).append(turn)
    base = _median(found[""])
    for clients, measured in found.items():
        lags = [lag for each in measured for lag in each.lags_ms]
        name = f"{pages} pages, {clients}" if clients else "no page"
        runs = ", ".join(f"{statistics.median(each.lags_ms):.1f}" for each in measured)
        print(
            f"{name:24} median {_median(measured):6.1f} ms from file to row (runs: {runs}), "
            f"95 % below {statistics.quantiles(lags, n=20)[-1]:.1f} ms, n = {len(lags)}: {100 * (_median(measured) / base - 1):+.1f} %"
        )
        spent = {
            kind: sum(each.processor_s.get(kind, 0.0) for each in measured) for kind in (*KINDS.values(), "clients")
        }
        of_frame = ", ".join(f"{kind} {1000 * seconds / len(lags):.0f}" for kind, seconds in spent.items())
        print(f"{'':24} processor milliseconds of a frame: {of_frame}")
    print(f"load {os.getloadavg()[0]:.1f}")


def _median(measured: list[Turn]) -> float:
    return statistics.median(lag for each in measured for lag in each.lags_ms)


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ledger", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--open-pages", type=int, default=0)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--chromium", action="store_true", help="also with real browsers on this PC")
    parser.add_argument("--be-clients", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--be-browsers", metavar="ADDRESS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_clients:
        be_clients(options.open_pages, options.be_clients)
        return
    if options.be_browsers:
        be_browsers(options.open_pages, options.be_browsers)
        return
    if options.ledger:
        on_a_large_ledger(options.ledger, options.repeats)
    if options.open_pages:
        beside_pages(options.open_pages, options.frames, ["clients", *(["browsers"] if options.chromium else [])])


if __name__ == "__main__":
    main()
