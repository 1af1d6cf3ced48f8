"""
How quick the page is on a large ledger, and what open pages cost the daemon.

    python bench/page.py LEDGER [--repeats 5]        # first paint, a filter, the stage map; LEDGER is copied
    python bench/page.py --open-pages 20 [--frames 60]

The browser is Chromium without a window. An open page is stood in for by a client that asks what ``live.js`` asks: events,
the status every 5 s, the targets every 20 s and at each hit, and two pictures of each new frame; half of the runs have none.
"""

from __future__ import annotations

import argparse
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
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
MAP_QUERY = "state=recorded"


@contextmanager
def served(folder: Path, ledger: Path) -> Iterator[str]:
    """Serve a ledger; returns the address."""
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
    """A client that asks what an open live page asks."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._listen, self._ask)]
        for each in self._threads:
            each.start()

    def close(self) -> None:
        """End it."""
        self._ended.set()

    def _get(self, path: str) -> None:
        with suppress(OSError), closing(urllib.request.urlopen(f"{self._address}/api/v1/{path}", timeout=60)) as answer:
            answer.read()

    def _ask(self) -> None:
        _stand_back()
        for turn in range(100_000):
            self._get("status")
            if turn % 4 == 0:
                self._get("targets")
            if self._ended.wait(5):
                return

    def _listen(self) -> None:
        _stand_back()
        with (
            suppress(OSError),
            closing(urllib.request.urlopen(f"{self._address}/api/v1/events", timeout=600)) as events,
        ):
            for line in events:
                if self._ended.is_set():
                    return
                if line.startswith(b"data: "):
                    frame: dict[str, Any] = json.loads(line[6:])
                    self._get(f"frames/{frame['id']}/picture?size=1280&scale_bar=1")
                    self._get(f"frames/{frame['id']}/picture?size=320")


def _stand_back() -> None:
    """Let the thread be of no weight: a browser that is open elsewhere takes nothing of this PC."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def lags_ms(pages: int, frames: int) -> list[float]:
    """Record frames that come at two a second while pages are open; returns the milliseconds from file to row."""
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
                opened = [OpenPage(address) for _ in range(pages)]
                time.sleep(3)
                making = ["simulate", "--out", "frames", "--frames", str(frames), "--rate", "2", "--seed", "1"]
                subprocess.run([*PROGRAM, *making], cwd=folder, env=environ, check=True, **quiet)
                time.sleep(3)
                for each in opened:
                    each.close()
            finally:
                daemon.terminate()
                daemon.wait(30)
        with closing(sqlite3.connect(folder / "ledger.sqlite3")) as ledger:
            rows = ledger.execute("SELECT first_seen_at, recorded_at FROM frames WHERE state = 'recorded'").fetchall()
    moments = [[datetime.fromisoformat(each) for each in row] for row in rows]
    return [1000 * (recorded - seen).total_seconds() for seen, recorded in moments]


def _address(folder: Path) -> str:
    for _ in range(600):
        with suppress(OSError, KeyError):
            status = json.loads((folder / "ledger.sqlite3.status.json").read_text())
            if status["page"]["address"] and status["state"] == "watching":
                return str(status["page"]["address"]).rstrip("/")
        time.sleep(0.1)
    raise SystemExit("the page is not served")


def beside_pages(pages: int, frames: int) -> None:
    """Print the latency of ingest without and with open pages, by turns."""
    found: dict[int, list[float]] = {0: [], pages: []}
    for open_pages in (0, pages, pages, 0):
        found[open_pages] += lags_ms(open_pages, frames)
    for open_pages, lags in found.items():
        p95 = statistics.quantiles(lags, n=20)[-1]
        print(
            f"{open_pages:3} open pages: {statistics.median(lags):6.1f} ms from file to row, 95 % below {p95:.1f} ms, n = {len(lags)}"
        )
    change = statistics.median(found[pages]) / statistics.median(found[0]) - 1
    print(f"change of the median: {100 * change:+.1f} %; load {os.getloadavg()[0]:.1f}")


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ledger", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--open-pages", type=int, default=0)
    parser.add_argument("--frames", type=int, default=60)
    options = parser.parse_args()
    if options.ledger:
        on_a_large_ledger(options.ledger, options.repeats)
    if options.open_pages:
        beside_pages(options.open_pages, options.frames)


if __name__ == "__main__":
    main()
