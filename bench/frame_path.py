"""
emwatch's whole path of a frame against Keras' ``model.predict`` alone, in one process tree.

One side is the real daemon with the default bundle: a frame is written and closed in the watched directory, and the
time runs until its row is committed (event, settling, decoding, metadata, sha256, resizing, network, matching,
recording). The other side is what a web service around Keras does with a frame that is already decoded and resized:
one call of ``model.predict``. The two take turns, frame by frame, so that a change of the machine's pace meets both.
Memory is the peak resident set: of the daemon and its decoder child together, and of the Keras process.

    python bench/frame_path.py [--frames 40]

Needs the ``train`` extra for the Keras side.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

WARM_UP = 5
ROW = "{:<44}{:>10}{:>10}{:>10}{:>12}"


def peak_mib(process: int) -> float:
    """Peak resident set of a process and its children, in MiB (``VmHWM``, proc(5)); shared pages count for each."""
    total = 0
    for each in [process, *children(process)]:
        status = Path(f"/proc/{each}/status").read_text(encoding="ascii", errors="replace")
        total += int(status.split("VmHWM:")[1].split()[0])
    return total / 1024


def children(process: int) -> list[int]:
    """Direct children of a process, whichever of its threads started them."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [int(each) for found in lists for each in found.read_text(encoding="ascii").split()]


def run_daemon(directory: Path, state: Path) -> None:
    """Be the daemon; say each commit on stdout with the time at which it was over."""
    from emwatch.config.schema import Config
    from emwatch.ingest.events import FrameDone, Ready
    from emwatch.service.daemon import Daemon

    def tell(happening: object) -> None:
        now = time.monotonic_ns()
        if isinstance(happening, Ready):
            print(json.dumps({"ready": True}), flush=True)
        elif isinstance(happening, FrameDone):
            facts = {"name": happening.outcome.path.name, "at_ns": now, "state": happening.outcome.state.value}
            print(json.dumps(facts), flush=True)

    config = Config.model_validate({"watch": {"directory": (directory,)}, "ledger": {"path": state / "ledger.sqlite3"}})
    daemon = Daemon(config, tell=tell, show=lambda _alert: None)
    threading.Thread(target=lambda: (sys.stdin.read(), daemon.stop()), daemon=True).start()
    daemon.run()


def run_keras() -> None:
    """Be the Keras side: for each line on stdin, predict the frame in that file and say how long it took."""
    import keras
    import numpy as np

    base = keras.applications.Xception(include_top=False, weights=None, input_shape=(170, 170, 3), pooling="avg")
    model = keras.Sequential([base, keras.layers.Dense(10, activation="softmax")])
    model.build((None, 170, 170, 3))
    print(json.dumps({"ready": True, "parameters": model.count_params()}), flush=True)
    for line in sys.stdin:
        views = np.load(line.strip())
        frame = np.repeat(views[:, :, :, None], 3, axis=3) / 127.5 - 1.0
        began = time.monotonic_ns()
        model.predict(frame, verbose=0)
        print(json.dumps({"took_ns": time.monotonic_ns() - began}), flush=True)


class Side:
    """A child of a bench script, spoken to in lines of JSON."""

    def __init__(self, *arguments: str, script: str = __file__) -> None:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        self.process = subprocess.Popen(
            [sys.executable, script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def hear(self) -> dict[str, Any]:
        """Wait for one line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args} ended early")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def say(self, text: str) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Close its input and wait."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def compare(frames: int, folder: Path) -> dict[str, Any]:
    """Run both sides in turn over drawn Zeiss frames; seconds and MiB."""
    import numpy as np
    from PIL import Image

    from emwatch.classify.preprocess import prepare
    from emwatch.simulate.microscope import Microscope

    drawn, watched, state = folder / "drawn", folder / "watched", folder / "state"
    for each in (drawn, watched, state):
        each.mkdir()
    truths = list(Microscope(drawn, frames=frames + WARM_UP, rate=0, mode="burst", vendor="zeiss", seed=1).run())
    daemon, keras = Side("--be-daemon", str(watched), str(state)), Side("--be-keras")
    daemon.hear()
    parameters = keras.hear()["parameters"]
    path_s, predict_s = [], []
    for number, truth in enumerate(truths):
        source = Path(truth.path)
        views = folder / "views.npy"
        with Image.open(source) as image:
            np.save(views, prepare(np.asarray(image.convert("L")), None))
        keras.say(str(views))
        predicted = keras.hear()["took_ns"] / 1e9
        content = source.read_bytes()
        (watched / source.name).write_bytes(content)
        closed_ns = time.monotonic_ns()
        done = daemon.hear()
        assert done["name"] == source.name
        assert done["state"] == "recorded"
        if number >= WARM_UP:
            predict_s.append(predicted)
            path_s.append((done["at_ns"] - closed_ns) / 1e9)
    memory = peak_mib(daemon.process.pid), peak_mib(keras.process.pid)
    daemon.end()
    keras.end()
    return {"frames": frames, "parameters": parameters, "path_s": path_s, "predict_s": predict_s, "memory_mib": memory}


def main() -> None:
    """Print the table and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--be-daemon", nargs=2, metavar=("DIRECTORY", "STATE"), help=argparse.SUPPRESS)
    parser.add_argument("--be-keras", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.be_daemon:
        run_daemon(*map(Path, arguments.be_daemon))
        return
    if arguments.be_keras:
        run_keras()
        return
    with tempfile.TemporaryDirectory() as folder:
        result = compare(arguments.frames, Path(folder))
    print(
        f"{result['frames']} frames after {WARM_UP} to warm up, taking turns; Keras model: {result['parameters']:,} parameters"
    )
    print(ROW.format("", "min ms", "median ms", "max ms", "peak MiB"))
    for name, times, memory in (
        ("emwatch: closed file -> committed row", result["path_s"], result["memory_mib"][0]),
        ("Keras: model.predict alone", result["predict_s"], result["memory_mib"][1]),
    ):
        figures = (f"{1e3 * pick(times):.1f}" for pick in (min, statistics.median, max))
        print(ROW.format(name, *figures, f"{memory:.0f}"))
    time_ratio = statistics.median(result["path_s"]) / statistics.median(result["predict_s"])
    print(
        f"time ratio {time_ratio:.2f} (target <= 1.0), memory ratio {result['memory_mib'][0] / result['memory_mib'][1]:.2f} (target <= 0.35)"
    )


if __name__ == "__main__":
    main()
