"""
Does reading data bars delay other frames? Closed file to committed row, and to shown alert, with bars being read and not.

One real daemon with the default bundle works off a backlog of frames whose values stand in the picture only. Frames with a
header are written one at a time; before each, the child that reads bars is let go or stopped (SIGCONT, SIGSTOP) in turn, so
that a change of the machine's pace meets both sides.

    python bench/beside_bars.py [--frames 30] [--backlog 80]

Needs the ``ocr`` extra and POSIX signals.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from frame_path import Side, children

WARM_UP = 4
ROW = "{:<52}{:>10}{:>12}{:>10}"


def run_daemon(directory: Path, state: Path) -> None:
    """Be the daemon; say each commit and each alert on stdout with its time."""
    from emwatch.config.schema import Config
    from emwatch.ingest.events import FrameDone, Ready
    from emwatch.service.daemon import Daemon

    one_line = threading.Lock()

    def say(what: str, name: str = "") -> None:
        fact = json.dumps({"what": what, "name": name, "at_ns": time.monotonic_ns()})
        with one_line:
            print(fact, flush=True)

    def tell(event: object) -> None:
        if isinstance(event, Ready):
            say("ready")
        elif isinstance(event, FrameDone):
            say("row", event.outcome.path.name)

    config = Config.model_validate(
        {
            "watch": {"directory": (directory,)},
            "ledger": {"path": state / "ledger.sqlite3"},
            "targets": ({"name": "anything", "category": (), "min_probability": 0.0},),
        }
    )
    daemon = Daemon(config, tell=tell, show=lambda alert: say("alert", alert.path.name))
    threading.Thread(target=lambda: (sys.stdin.read(), daemon.stop()), daemon=True).start()
    daemon.run()


def bar_child(daemon: int) -> int | None:
    """Return the process that reads data bars."""
    for child in children(daemon):
        if "bar_child" in Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8", errors="replace"):
            return child
    return None


def cpu_s(process: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(frames: int, backlog: int, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return the seconds to row and to alert of each frame, by whether bars were being read, and the CPU of their reading."""
    from emwatch.simulate.microscope import Microscope

    drawn, watched, state = folder / "drawn", folder / "watched", folder / "state"
    for each in (drawn, watched, state):
        each.mkdir()
    count = 2 * frames + WARM_UP
    truths = list(Microscope(drawn, count, rate=0, mode="burst", vendor="zeiss", seed=1).run())
    list(Microscope(watched, backlog, rate=0, mode="burst", vendor="generic", seed=2).run())
    daemon = Side("--be-daemon", str(watched), str(state), script=__file__)
    rows = 0
    child: int | None = None
    while rows < backlog or child is None:
        if rows < backlog:
            rows += daemon.hear()["what"] == "row"
        if child is None and (child := bar_child(daemon.process.pid)) is not None:
            os.kill(child, signal.SIGSTOP)  # what it is to read is kept for the frames below
    took: dict[str, dict[str, list[float]]] = {
        side: {"row": [], "alert": [], "cpu": []} for side in ("read", "stopped")
    }
    for number, truth in enumerate(truths):
        side = ("read", "stopped")[number % 2]
        os.kill(child, signal.SIGCONT if side == "read" else signal.SIGSTOP)
        time.sleep(0.3)
        before_s = cpu_s(child)
        source = Path(truth.path)
        (watched / source.name).with_suffix(".part").write_bytes(source.read_bytes())
        name = f"frame_{number + 10_000}.tif"
        (watched / source.name).with_suffix(".part").rename(watched / name)
        closed_ns = time.monotonic_ns()
        at: dict[str, float] = {}
        while set(at) != {"row", "alert"}:
            heard = daemon.hear()
            if heard["name"] == name:
                at[heard["what"]] = (heard["at_ns"] - closed_ns) / 1e9
        if number >= WARM_UP:
            for what, seconds in at.items():
                took[side][what].append(seconds)
            took[side]["cpu"].append((cpu_s(child) - before_s) / max(at.values()))
    os.kill(child, signal.SIGCONT)
    daemon.end()
    return took


def main() -> None:
    """Print the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=30, help="with bars being read, and as many without")
    parser.add_argument("--backlog", type=int, default=80)
    parser.add_argument("--be-daemon", nargs=2, metavar=("DIRECTORY", "STATE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.be_daemon:
        run_daemon(*map(Path, arguments.be_daemon))
        return
    with tempfile.TemporaryDirectory() as folder:
        took = measure(arguments.frames, arguments.backlog, Path(folder))
    print(ROW.format(f"{arguments.frames} frames each, taking turns", "min ms", "median ms", "max ms"))
    for what, title in (("row", "closed file -> committed row"), ("alert", "closed file -> shown alert")):
        for side, when in (("read", "bars being read"), ("stopped", "their reader stopped")):
            times = took[side][what]
            figures = (f"{1e3 * pick(times):.1f}" for pick in (min, statistics.median, max))
            print(ROW.format(f"{title}, {when}", *figures))
        ratio = statistics.median(took["read"][what]) / statistics.median(took["stopped"][what])
        print(f"  ratio of the medians {ratio:.2f}")
    shares = (f"{statistics.median(took[side]['cpu']):.2f}" for side in ("read", "stopped"))
    print("CPU of the bar reader meanwhile, cores, median: {} being read, {} stopped".format(*shares))


if __name__ == "__main__":
    main()
