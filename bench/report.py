"""
How long the report of a session of 1,000 frames takes, and how large it is: ``python bench/report.py [FRAMES]``.

Every tenth frame met a target and is a real file of noise, which is the worst that a thumbnail can be compressed.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from emwatch.frame import CATEGORIES
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_metadata, make_outcome, make_prediction, make_reading, make_stat_key

RUNS = 5


def _record(folder: Path, frames: int) -> None:
    random = np.random.default_rng(0)
    (folder / "frames").mkdir()
    with Ledger(folder / "ledger.sqlite3") as ledger:
        for number in range(frames):
            path = folder / "frames" / f"{number:05}.tif"
            hit = number % 10 == 0
            if hit:
                Image.fromarray(random.integers(0, 256, (768, 1024), dtype=np.uint8)).save(path)
            sha256 = hashlib.sha256(path.read_bytes() if hit else str(number).encode()).hexdigest()
            written = NOON + timedelta(seconds=20 * number)
            x, y, width = (float(each) for each in random.uniform((-30, -30, 1), (30, 30, 500)))
            metadata = make_metadata(
                "Zeiss", stage_x_mm=x, stage_y_mm=y, horizontal_field_width_um=width, pixel_size_nm=width / 1.024
            )
            reading = make_reading(path, sha256=sha256, metadata=metadata, stat_key=make_stat_key(written))
            said = make_prediction(CATEGORIES[number % 10], 0.8)
            targets = ("tips",) if hit else ()
            made = make_outcome(
                path, targets=targets, written_at=written, prediction=said, reading=reading, sha256=sha256
            )
            ledger.record(made, written + timedelta(seconds=1))


def main() -> None:
    """Measure, and print the medians."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _record(folder, frames)
        (folder / "lab.yaml").write_text("watch: {directory: frames}\nledger: {path: ledger.sqlite3}\n")
        seconds, size = [], 0
        for run in range(RUNS):
            environment = os.environ | {"XDG_CACHE_HOME": str(folder / f"cache{run}")}
            command = [sys.executable, "-m", "emwatch", "report", "last", "--config", "lab.yaml", "--out", "r.html"]
            start = time.perf_counter()
            subprocess.run(command, cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
            size = (folder / "r.html").stat().st_size
    print(f"report of {frames:,} frames: median {statistics.median(seconds):.1f} s of {RUNS} runs, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
