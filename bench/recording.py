"""
What recording a frame costs, beside another emwatch.

    python bench/recording.py PYTHON [--pairs 9] [--folder DIR]

PYTHON is the interpreter of the other emwatch. Both record the frames of `bench/ledger.py` in turn, each time in a process
and into a ledger of its own; the median of the pairs' ratios of processor time is printed. DIR should be on the disk a
ledger would be on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import emwatch

LEDGER = Path(__file__).resolve().with_name("ledger.py")


def cost(python: str, folder: Path) -> dict[str, float]:
    """Return milliseconds of processor time for a frame, for each kind of frame that an interpreter's emwatch records."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if python == sys.executable:  # the same emwatch as here
        environment["PYTHONPATH"] = str(Path(emwatch.__file__).parents[1])
    with tempfile.TemporaryDirectory(dir=folder) as place:
        command = [python, str(LEDGER), "--record", str(Path(place, "ledger"))]
        said = json.loads(subprocess.check_output(command, env=environment, cwd=place))
    return {kind: processor for kind, (_, processor) in said.items()}


def main() -> None:
    """Print the ratios, one line for each kind of frame."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", metavar="PYTHON")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    ratios: dict[str, list[float]] = {}
    for pair in range(arguments.pairs + 1):
        order = [sys.executable, arguments.other] if pair % 2 else [arguments.other, sys.executable]
        took = {python: cost(python, arguments.folder) for python in order}
        if not pair:  # compiles what is not yet
            continue
        for kind, here in took[sys.executable].items():
            if kind in took[arguments.other]:
                ratios.setdefault(kind, []).append(here / took[arguments.other][kind])
    for kind, found in ratios.items():
        low, middle, high = np.percentile(found, [0, 50, 100])
        print(f"{kind}: {middle:.2f} x the processor time ({low:.2f} to {high:.2f}, {len(found)} pairs)")


if __name__ == "__main__":
    main()
