"""
What the daemon costs while nothing happens: share of one core and memory, watching by events and by polling.

    python bench/idle.py [--files 10000] [--seconds 120]

The files stand in one folder and are in the ledger before the clock starts. The reader's process counts too.
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


def spent_s(daemon: psutil.Process) -> float:
    """Seconds of CPU of the daemon and all it started."""
    return sum(sum(each.cpu_times()[:2]) for each in (daemon, *daemon.children(recursive=True)))


def measure(home: Path, mode: str, seconds: float) -> tuple[float, float, float]:
    """Start a daemon on `home`; gives seconds to ready, per cent of a core when idle, and memory in MiB."""
    config = home / "config.yaml"
    config.write_text(
        f"model: {{engine: stub}}\nwatch: {{mode: {mode}, catch_up: new, data_bar: never}}\n", encoding="utf-8"
    )
    environ = os.environ | {
        "HOME": str(home),
        "EMWATCH_LEDGER_PATH": str(home / "state" / "ledger.sqlite3"),
        "EMWATCH_WATCH_DIRECTORY": str(home / "frames"),
    }
    command = [sys.executable, "-m", "emwatch", "run", "--config", str(config), "--plain"]
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
            time.sleep(10)
            daemon = psutil.Process(process.pid)
            before, at = spent_s(daemon), time.monotonic()
            time.sleep(seconds)
            share = 100 * (spent_s(daemon) - before) / (time.monotonic() - at)
            memory = daemon.memory_info().rss / 2**20
        finally:
            process.terminate()
            process.wait(30)
    return ready_s, share, memory


def main() -> None:
    """Measure both ways of watching and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "frames").mkdir()
        for number in range(options.files):
            (home / "frames" / f"old_{number:06d}.tif").write_bytes(b"x")
        measure(home, "events", 1)  # takes the baseline
        print(f"{options.files} files, {options.seconds:g} s each; load {os.getloadavg()[0]:.1f}")
        for mode in ("events", "poll"):
            ready_s, share, memory = measure(home, mode, options.seconds)
            print(f"{mode:7} ready after {ready_s:.2f} s, idle {share:.2f} % of a core, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
