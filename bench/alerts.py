"""
How long it takes from a frame's file being closed to its alert being in the hands of a channel's program.

A real daemon with the shipped model watches a folder; frames of one maker are moved into it one a second. Every frame meets
the target. The channel's program writes down when it was started: the time ends where the operator's lamp would go on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emwatch.simulate.microscope import Microscope

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = 3
CONFIGURATION = """\
watch: {directory: frames}
ledger: {path: ledger.sqlite3}
targets:
  - {name: any, min_probability: 0, alerts: [lamp]}
alerts:
  lamp: {kind: command, argv: [./lamp, "{path}"]}
"""
LAMP = '#!/bin/sh\necho "$(date +%s.%N) $1" >> "$(dirname "$0")/told"\n'


def main() -> None:
    """Print one JSON document."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frames", type=int, default=60)
    options.add_argument("--rate", type=float, default=1.0, help="frames per second")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lags = measured(Path(folder), asked.frames, asked.rate)
    found: dict[str, float] = {"frames": len(lags), "rate_per_s": asked.rate}
    if lags:
        found |= {f"p{at}_s": round(float(np.percentile(lags, at)), 3) for at in (50, 95, 99)}
        found |= {"max_s": round(max(lags), 3)}
    json.dump(found, sys.stdout, indent=1)
    print()


def measured(folder: Path, frames: int, rate: float) -> list[float]:
    """Return the seconds from each frame's closing to the start of the channel's program, without the first frames."""
    (folder / "lab.yaml").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "lamp").write_text(LAMP, encoding="utf-8")
    (folder / "lamp").chmod(0o755)
    drawn, watched = folder / "drawn", folder / "frames"
    for each in (drawn, watched):
        each.mkdir()
    truths = list(Microscope(drawn, frames=frames + WARM_UP, rate=0, mode="burst", vendor="zeiss", seed=1).run())
    log = (folder / "daemon.log").open("wb")
    command = [sys.executable, "-m", "emwatch", "run", "--config", "lab.yaml"]
    daemon = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        wait_until(lambda: b"ready" in (folder / "daemon.log").read_bytes(), 120)
        closed = {}
        for truth in truths:
            begun = time.monotonic()
            name = Path(truth.path).name
            with (drawn / name).open("rb") as source, (watched / name).open("wb") as target:
                shutil.copyfileobj(source, target)
            closed[name] = time.time()
            time.sleep(max(0.0, 1 / rate - (time.monotonic() - begun)))
        wait_until(lambda: len(told(folder)) >= len(truths), 60)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)
        log.close()
    at = told(folder)
    return [at[name] - closed[name] for name in list(closed)[WARM_UP:] if name in at]


def told(folder: Path) -> dict[str, float]:
    """Return when the program was started, by the name of the frame."""
    file = folder / "told"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {os.path.basename(path): float(at) for at, path in (line.split(" ", 1) for line in lines)}  # noqa: PTH119


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, for ``seconds`` at most."""
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)


if __name__ == "__main__":
    main()
