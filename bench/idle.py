"""
What the daemon costs while nothing happens: share of one core and memory, watching by events and by polling.

    python bench/idle.py [--files 10000] [--seconds 120] [--engine litert] [--frames 20]

The files stand in one folder and are in the ledger before the clock starts. Frames are drawn into it and classified, so that the
model and the reader are in memory as after a day's work. All processes count. As the unit does, the daemon begins at nice 10; the
least nice value of any process and thread is shown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from emwatch.simulate.microscope import Microscope


def spent_s(daemon: psutil.Process) -> float:
    """Seconds of CPU of the daemon and all it started."""
    return sum(sum(each.cpu_times()[:2]) for each in (daemon, *daemon.children(recursive=True)))


def least_nice(daemon: psutil.Process) -> int:
    """Return the least nice value of any thread of the daemon and all it started."""
    threads = [thread.id for each in (daemon, *daemon.children(recursive=True)) for thread in each.threads()]
    return min(os.getpriority(os.PRIO_PROCESS, each) for each in threads)


def resident_mib(daemon: psutil.Process) -> float:
    """Return the memory of the daemon and all it started; what they share counts once for each."""
    return sum(each.memory_info().rss for each in (daemon, *daemon.children(recursive=True))) / 2**20


def measure(home: Path, mode: str, options: argparse.Namespace, seconds: float) -> str:
    """Start a daemon on `home`; returns what it costs, as a line."""
    config = home / "config.yaml"
    config.write_text(
        f"model: {{engine: {options.engine}}}\nwatch: {{mode: {mode}, catch_up: new, data_bar: never}}\n",
        encoding="utf-8",
    )
    environ = os.environ | {
        "HOME": str(home),
        "EMWATCH_LEDGER_PATH": str(home / "state" / "ledger.sqlite3"),
        "EMWATCH_WATCH_DIRECTORY": str(home / "frames"),
    }
    command = ["nice", "-n", "10", sys.executable, "-m", "emwatch", "run", "--config", str(config), "--plain"]
    began = time.monotonic()
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            while "ready;" not in (line := process.stderr.readline()):
                if not line:
                    raise SystemExit("the daemon ended before it was ready")
            ready_s = time.monotonic() - began
            there = sum(1 for _ in (home / "frames").iterdir())
            list(Microscope(home / "frames", options.frames, rate=0, seed=there, first_number=there).run())
            time.sleep(10)
            daemon = psutil.Process(process.pid)
            before, at = spent_s(daemon), time.monotonic()
            time.sleep(seconds)
            share = 100 * (spent_s(daemon) - before) / (time.monotonic() - at)
            memory, together, nice = daemon.memory_info().rss / 2**20, resident_mib(daemon), least_nice(daemon)
        finally:
            process.terminate()
            process.wait(30)
    return (
        f"ready after {ready_s:.2f} s, idle {share:.2f} % of a core, daemon {memory:.0f} MiB, with its children "
        f"{together:.0f} MiB, least nice {nice}"
    )


def main() -> None:
    """Measure both ways of watching and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--engine", default="litert", help="stub: without the model")
    parser.add_argument("--frames", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "frames").mkdir()
        for number in range(options.files):
            (home / "frames" / f"old_{number:06d}.tif").write_bytes(b"x")
        measure(home, "events", options, 1)  # takes the baseline
        print(f"{options.files} files, {options.seconds:g} s each; load {os.getloadavg()[0]:.1f}")
        for mode in ("events", "poll"):
            print(f"{mode:7} {measure(home, mode, options, options.seconds)}", flush=True)


if __name__ == "__main__":
    main()
