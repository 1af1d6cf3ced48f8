"""
Measure every engine and weight type in its own process, in one run: start, time per frame, peak memory.

    python bench/engines.py [--frames 40] [--threads 2] [--weights FILE]

The bundle's own backbone always; Keras (`model.predict`, as a web application would call it) and the other weight types
where TensorFlow is installed. Memory is the peak of the process, interpreter and numpy included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def _views(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, 170, 170)).astype(np.float32)


def _timed(open_embed: Callable[[], Callable[[np.ndarray], Any]], frames: int) -> dict[str, float]:
    start = time.perf_counter()
    embed = open_embed()
    views = _views(frames)
    embed(views[:1])
    started = time.perf_counter() - start
    times = []
    for view in views:
        before = time.perf_counter()
        embed(view[np.newaxis])
        times.append(time.perf_counter() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"start_s": started, "frame_ms": statistics.median(times) * 1e3, "peak_mb": peak / 1e6}


def _litert(path: Path, threads: int) -> Callable[[np.ndarray], Any]:
    from emwatch.classify.backbone import LiteRtEngine
    from emwatch.train.build import OUTPUTS

    return LiteRtEngine(path.read_bytes(), sum(OUTPUTS.values()), threads, path).embed


def _keras(weights: Path) -> Callable[[np.ndarray], Any]:
    from emwatch.classify.backbone import build_xception, embedding_network, network_input
    from emwatch.train.build import OUTPUTS

    network = build_xception()
    network.load_weights(weights)
    whole = embedding_network(network, list(OUTPUTS))
    return lambda views: whole.predict(network_input(views), verbose=0)


def _one(what: str, path: Path, frames: int, threads: int) -> dict[str, float]:
    """Measure in this process."""
    if what == "keras":
        return _timed(lambda: _keras(path), frames)
    return _timed(lambda: _litert(path, threads), frames)


def _in_own_process(what: str, path: Path, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", what, str(path)]
    command += ["--frames", str(options.frames), "--threads", str(options.threads)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{what} {path} failed:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def _other_weight_types(folder: Path, weights: Path) -> list[tuple[str, Path]]:
    """Convert the network anew, in a process of its own: TensorFlow stays out of the measured ones."""
    program = (
        "import sys, pathlib; from emwatch.classify.backbone import build_xception;"
        "from emwatch.train.build import OUTPUTS; from emwatch.train.convert import WEIGHT_TYPES, to_tflite;"
        "n = build_xception(); n.load_weights(sys.argv[2]);"
        "[pathlib.Path(sys.argv[1], t + '.tflite').write_bytes(to_tflite(n, list(OUTPUTS), t))"
        " for t in WEIGHT_TYPES if t not in ('pointwise-int8', 'integer')]"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", program, str(folder), str(weights)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        print(f"(other weight types left out: {done.stderr.strip().splitlines()[-1]})", file=sys.stderr)
        return []
    return [("litert", path) for path in sorted(folder.glob("*.tflite"))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--weights", type=Path, help="Xception .weights.h5; default: where 'emwatch model build' keeps it"
    )
    parser.add_argument("--one", nargs=2, metavar=("ENGINE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_one(options.one[0], Path(options.one[1]), options.frames, options.threads)))
        return
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from emwatch.classify.backbone import imagenet_weights_path
    from emwatch.classify.bundle import default_directory

    weights = options.weights or imagenet_weights_path()
    measured = [("litert", default_directory() / "backbone.tflite")]
    with tempfile.TemporaryDirectory() as folder:
        if weights.is_file():
            measured += [*_other_weight_types(Path(folder), weights), ("keras", weights)]
        print(f"{'engine':8} {'weights':16} {'file MB':>8} {'start s':>8} {'ms/frame':>9} {'peak MB':>8}")
        for what, path in measured:
            name = "bundle" if path.stem == "backbone" else "float32 predict" if what == "keras" else path.stem
            row = _in_own_process(what, path, options)
            size = path.stat().st_size / 1e6
            print(
                f"{what:8} {name:16} {size:8.1f} {row['start_s']:8.2f} {row['frame_ms']:9.1f} {row['peak_mb']:8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
