"""
Measure every engine and weight type in its own process, in one run: start, time per frame alone and of 16, peak memory.

    python bench/engines.py [--frames 40] [--threads 2] [--weights FILE]

The bundle's own backbone always; Keras (`model.predict`, as a web application would call it, and `tf.function`) and the
other weight types if TensorFlow is installed; full integers are calibrated on drawn frames, so only their speed counts.
Memory is the peak of the process, interpreter and numpy included. "floor" is how many times longer a frame takes than its
arithmetic would at the rate at which this machine, measured in the same run, multiplies float32 matrices.
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

#: Multiply-adds of Xception for one frame of 170x170, without its top (counted layer by layer from Keras' model).
MULTIPLY_ADDS = 2.76e9
_BATCH = 16
_SIDE = 2048


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
    batches = []
    embed(views[:_BATCH])
    for _ in range(max(2, frames // _BATCH)):
        before = time.perf_counter()
        embed(views[:_BATCH])
        batches.append((time.perf_counter() - before) / len(views[:_BATCH]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "start_s": started,
        "frame_ms": statistics.median(times) * 1e3,
        "batch_ms": statistics.median(batches) * 1e3,
        "peak_mb": peak / 1e6,
    }


def _multiplied(times: int) -> dict[str, float]:
    """Return the best rate of a float32 matrix product, in multiply-adds a second."""
    random = np.random.default_rng(0)
    one, other = (random.random((_SIDE, _SIDE), dtype=np.float32) for _ in range(2))
    one @ other
    fastest = float("inf")
    for _ in range(times):
        before = time.perf_counter()
        one @ other
        fastest = min(fastest, time.perf_counter() - before)
    return {"per_s": _SIDE**3 / fastest}


def _litert(path: Path, threads: int) -> Callable[[np.ndarray], Any]:
    from emwatch.classify.backbone import OUTPUTS, LiteRtEngine

    return LiteRtEngine(path.read_bytes(), sum(OUTPUTS.values()), threads, path).embed


def _keras(weights: Path, *, as_function: bool) -> Callable[[np.ndarray], Any]:
    from emwatch.classify.backbone import OUTPUTS, build_xception, embedding_network, network_input

    network = build_xception()
    network.load_weights(weights)
    whole = embedding_network(network, list(OUTPUTS))
    if as_function:
        import tensorflow as tf

        function = tf.function(lambda rows: whole(rows, training=False), reduce_retracing=True)
        return lambda views: function(network_input(views)).numpy()
    return lambda views: whole.predict(network_input(views), verbose=0)


def _one(what: str, path: Path, frames: int, threads: int) -> dict[str, float]:
    """Measure in this process."""
    if what == "product":
        return _multiplied(10)
    if what in ("predict", "function"):
        return _timed(lambda: _keras(path, as_function=what == "function"), frames)
    return _timed(lambda: _litert(path, threads), frames)


def _in_own_process(what: str, path: Path, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", what, str(path)]
    command += ["--frames", str(options.frames), "--threads", str(options.threads)]
    # A kernel of OpenBLAS that the environment forces would show a lower peak than the machine has.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    environment |= {
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OPENBLAS_NUM_THREADS": str(options.threads),
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{what} {path} failed:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def _other_weight_types(folder: Path, weights: Path) -> list[tuple[str, Path]]:
    """Convert the network anew, in a process of its own: TensorFlow stays out of the measured ones."""
    program = (
        "import sys, pathlib; import numpy as np; from emwatch.classify.backbone import build_xception, network_input;"
        "from emwatch.classify.preprocess import prepare; from emwatch.classify.backbone import OUTPUTS;"
        "from emwatch.train.network.convert import WEIGHT_TYPES, to_tflite; from emwatch.train.heads.drawn import drawn_frames;"
        "v = network_input(np.concatenate([prepare(d.draw()) for d in drawn_frames(3, 0)]));"
        "n = build_xception(); n.load_weights(sys.argv[2]);"
        "[pathlib.Path(sys.argv[1], t + '.tflite').write_bytes(to_tflite(n, list(OUTPUTS), t, v))"
        " for t in WEIGHT_TYPES if t != 'pointwise-int8']"
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
    from emwatch.classify.bundles.bundle import default_directory

    weights = options.weights or imagenet_weights_path()
    measured = [("litert", default_directory() / "backbone.tflite")]
    with tempfile.TemporaryDirectory() as folder:
        if weights.is_file():
            measured += _other_weight_types(Path(folder), weights)
            measured += [("function", weights), ("predict", weights)]
        rate = _in_own_process("product", weights, options)["per_s"]
        floor_ms = MULTIPLY_ADDS / rate * 1e3
        print(f"{rate / 1e9:.0f} GMAC/s in float32 by {options.threads} threads: {floor_ms:.1f} ms a frame at least")
        print(
            f"{'engine':8} {'weights':16} {'file MB':>8} {'start s':>8} {'ms/frame':>9} {'of 16':>7} {'floor':>6} {'peak MB':>8}"
        )
        for what, path in measured:
            name = "bundle" if path.stem == "backbone" else "float32" if what != "litert" else path.stem
            row = _in_own_process(what, path, options)
            print(
                f"{what:8} {name:16} {path.stat().st_size / 1e6:8.1f} {row['start_s']:8.2f} {row['frame_ms']:9.1f} "
                f"{row['batch_ms']:7.1f} {row['frame_ms'] / floor_ms:6.2f} {row['peak_mb']:8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
