"""
How close `emwatch scan` comes to bare decoding and inference on the same frames, in one run.

The bare side is one process without ledger, listing, limits or other processes: each file is decoded and prepared, then
classified with as many threads as there are processors, one after the other. The scan is the whole command, its start
included. Both sides in turn, several times; the ratio of the medians counts.

    python bench/archive.py [--frames 2000] [--runs 3] [--workers N] [--dask]

``--dask``: the same on a cluster of two worker processes on this machine (extra ``dask``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

FRAMES_DRAWN = 100  # the others are copies with another last byte: drawing takes longer than reading


def archive(directory: Path, frames: int) -> None:
    """Draw frames of many makers, and copy them until there are as many as asked for; none is like another."""
    drawn = min(frames, FRAMES_DRAWN)
    program("simulate", "--out", directory / "drawn", "--frames", drawn, "--rate", 0, "--seed", 5)
    originals = sorted(path for path in (directory / "drawn").rglob("*") if path.is_file())
    for number in range(drawn, frames):
        original = originals[number % len(originals)]
        copy = directory / f"copies{number // 500}" / f"{number:06}-{original.name}"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(original.read_bytes() + f"{number:08}".encode())  # after the end of the picture
    for path in directory.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def program(*arguments: object) -> str:
    """Run the command line, and return its standard output."""
    command = [sys.executable, "-m", "emwatch", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def bare(directory: Path) -> tuple[int, float]:
    """Decode and classify every file in this process; returns the number of frames and the seconds they took."""
    from emwatch.classify.classifier import Classifier
    from emwatch.classify.preprocess import prepare
    from emwatch.errors import FrameError
    from emwatch.readers.frame_reader import read_frame
    from emwatch.readers.sandbox.limits import Limits

    classifier = Classifier.load(threads=os.cpu_count() or 1)
    frames, began = 0, time.perf_counter()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        try:
            reading = read_frame(path, prepare, Limits())
        except FrameError:
            continue
        classifier.classify(reading.views, reading.coloured_share)
        frames += 1
    return frames, time.perf_counter() - began


def in_its_own_process(directory: Path) -> tuple[int, float]:
    """Return `bare`, from a fresh process."""
    command = [sys.executable, __file__, "--bare", str(directory)]
    frames, seconds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return int(frames), float(seconds)


def scan(directory: Path, *arguments: str) -> tuple[int, float]:
    """Scan into a new ledger; returns the number of frames and the seconds of the whole command."""
    with tempfile.TemporaryDirectory() as state:
        began = time.perf_counter()
        said = json.loads(program("scan", directory, "--ledger", Path(state) / "ledger.db", "--json", *arguments))
        return int(said["recorded"]), time.perf_counter() - began


def cluster(stack: ExitStack) -> str:
    """Start a scheduler and two worker processes; returns the scheduler's address."""
    from distributed import LocalCluster

    started = stack.enter_context(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None))
    return str(started.scheduler_address)


def main() -> None:
    """Print a line for each side, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.bare:
        print(json.dumps(bare(asked.bare)))
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        archive(Path(folder), asked.frames)
        how = ["--workers", str(asked.workers)] if asked.workers else []
        if asked.dask:
            how = ["--dask", cluster(stack)]
        rates: dict[str, list[float]] = {"bare": [], "scan": []}
        for _ in range(asked.runs):
            for name, (frames, seconds) in (
                ("bare", in_its_own_process(Path(folder))),
                ("scan", scan(Path(folder), *how)),
            ):
                rates[name].append(frames / seconds)
                print(f"{name}: {frames} frames, {seconds:.1f} s, {frames / seconds:.1f} frames/s", flush=True)
        medians = {name: statistics.median(values) for name, values in rates.items()}
        print(f"scan / bare: {medians['scan'] / medians['bare']:.2f} (medians of {asked.runs} runs)")


if __name__ == "__main__":
    main()
