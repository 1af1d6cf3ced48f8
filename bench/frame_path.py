"""
emwatch's whole path of a frame against Keras' ``model.predict`` alone, in one process tree.

One side is the real daemon with the default bundle: a frame is written and closed in the watched directory, and the
time runs until its row is committed (event, settling, decoding, metadata, sha256, resizing, network, matching,
recording). The other side is what a web service around Keras does with a frame that is already decoded and resized:
one call of ``model.predict``. The two take turns, frame by frame, so that a change of the machine's pace meets both.
Memory is the peak resident set: of the daemon and its decoder child together, and of the Keras process.

    python bench/frame_path.py [--frames 40]

Needs the ``train`` extra for the Keras side. Where a frame's time goes, and how fast a backlog is worked off, with
another checkout of emwatch beside this one:

    python bench/frame_path.py --stages [--large] [--beside CHECKOUT] [--backlog 600]

Its stages: *settling* from the close to the hand-over to the reader, *reading* until the reader has it, *waiting*
until the network begins, *classifying*, *committing* until the row is committed. A checkout is run by its own
``.venv/bin/python``. ``--large``: frames of 4096 x 3536 pixels at 16 bits, as large as instruments commonly save them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WARM_UP = 5
PAUSE_S = 0.3
SMALL_PX = 64
LARGE_PX = (4096, 3536)
BACKLOG_TURNS = 2
STAGES = ("settling", "reading", "waiting", "classifying", "committing")
STAGE_ROW = "{:<10}" + 7 * "{:>12}"
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
    """Be the daemon; print each commit with the times at which it came so far. Works with older checkouts as well."""
    from emwatch.config.schema import Config
    from emwatch.service.daemon import Daemon

    times: dict[str, dict[str, int]] = {}
    watch_stages(times)

    def tell(event: Any) -> None:
        now = time.monotonic_ns()
        if type(event).__name__ == "Ready":
            print(json.dumps({"ready": True, "at_ns": now}), flush=True)
        elif type(event).__name__ == "FrameDone":
            name = event.outcome.path.name
            facts = {"name": name, "at_ns": now, "state": event.outcome.state.value, "times": times.pop(name, {})}
            print(json.dumps(facts), flush=True)

    config = Config.model_validate(
        {
            "watch": {"directory": (directory,), "data_bar": "never"},
            "ledger": {"path": state / "ledger.sqlite3"},
        }
    )
    daemon = Daemon(config, tell=tell, show=lambda _alert: None)
    threading.Thread(target=lambda: (sys.stdin.read(), daemon.stop()), daemon=True).start()
    daemon.run()


def watch_stages(times: dict[str, dict[str, int]]) -> None:
    """Note when each frame reaches each stage, by wrapping what it goes through, whatever the checkout calls it."""
    from emwatch.ledger.writer import Ledger

    sandbox = first_of(("emwatch.readers.sandbox.frame_sandbox", "Sandbox"), ("emwatch.readers.sandbox", "Sandbox"))
    model = first_of(("emwatch.service.model", "LiveModel"), ("emwatch.service.live_model", "LiveModel"))
    names: deque[str] = deque()
    by_views: dict[int, str] = {}
    begin, finish, classify, record = sandbox.begin, sandbox.finish, model.classify, Ledger.record

    def begin_noted(self: Any, path: Path, **options: Any) -> None:
        names.append(path.name)
        times[path.name] = {"begun": time.monotonic_ns()}
        begin(self, path, **options)

    def finish_noted(self: Any) -> Any:
        name = names.popleft()
        reading = finish(self)
        times[name]["read"] = time.monotonic_ns()
        by_views[id(reading.views)] = name
        return reading

    def classify_noted(self: Any, views: Any, *rest: Any) -> Any:
        noted = times[by_views.pop(id(views))]
        noted["judged"] = time.monotonic_ns()
        prediction = classify(self, views, *rest)
        noted["classified"] = time.monotonic_ns()
        return prediction

    def record_noted(self: Any, outcome: Any, *rest: Any) -> Any:
        recorded = record(self, outcome, *rest)
        times[outcome.path.name]["committed"] = time.monotonic_ns()
        return recorded

    sandbox.begin, sandbox.finish, model.classify = begin_noted, finish_noted, classify_noted
    Ledger.record = record_noted  # type: ignore[method-assign]


def first_of(*places: tuple[str, str]) -> Any:
    """Return the class that the first of some modules has."""
    for module, name in places:
        with suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(module), name)
    sys.exit(f"none of {places} is in this checkout")


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

    def __init__(self, *arguments: str, script: str = __file__, checkout: Path | None = None) -> None:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        python = sys.executable
        if checkout is not None:
            python, environment["PYTHONPATH"] = str(checkout / ".venv" / "bin" / "python"), str(checkout)
        self.process = subprocess.Popen(
            [python, script, *arguments],
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


def drawn_frames(number: int, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of drawn Zeiss frames."""
    from emwatch.simulate.microscope import Microscope

    drawn = folder / "drawn"
    drawn.mkdir()
    for truth in list(Microscope(drawn, frames=number, rate=0, mode="burst", vendor="zeiss", seed=1).run()):
        yield Path(truth.path).name, Path(truth.path).read_bytes()


def large_frames(number: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of large 16-bit frames: a drawn picture, enlarged, with the noise of a detector."""
    import numpy as np

    from emwatch.simulate.painter import draw_frame
    from emwatch.simulate.tiff import WrittenPage, encode_tiff

    width, height = LARGE_PX
    small = draw_frame("Particles", 1, width // 4, height // 4).pixels
    picture = np.kron(small, np.ones((4, 4), np.uint8)).astype(np.uint16) * 200
    for at in range(number):
        noise = np.random.default_rng(at).integers(0, 4000, picture.shape).astype(np.uint16)
        yield f"large_{at:03}.tif", encode_tiff([WrittenPage(picture + noise)])


def stages(made: Iterable[tuple[str, bytes]], backlog: int, beside: Path | None, folder: Path) -> None:
    """Print where a frame's time goes, and the pace of a backlog, for this checkout and another in turn."""
    checkouts = {"beside": beside, "this": None} if beside is not None else {"this": None}
    sides, spent = {}, {name: [] for name in checkouts}
    for name, checkout in checkouts.items():
        for each in ("watched", "state"):
            (folder / name / each).mkdir(parents=True)
        watched, state = folder / name / "watched", folder / name / "state"
        sides[name] = Side("--be-daemon", str(watched), str(state), checkout=checkout)
        sides[name].hear()
    for number, (file, content) in enumerate(made):
        for name, side in sides.items():
            (folder / name / "watched" / file).write_bytes(content)
            closed_ns = time.monotonic_ns()
            noted = side.hear()["times"]
            marks = [closed_ns, *(noted[each] for each in ("begun", "read", "judged", "classified", "committed"))]
            if number >= WARM_UP:
                spent[name].append([(after - before) / 1e6 for before, after in pairwise(marks)])
            time.sleep(PAUSE_S)
    print(STAGE_ROW.format("median ms", *STAGES, "in all", "peak MiB"))
    for name, side in sides.items():
        medians = [statistics.median(column) for column in zip(*spent[name], strict=True)]
        in_all = statistics.median(map(sum, spent[name]))
        figures = (f"{each:.1f}" for each in (*medians, in_all))
        print(STAGE_ROW.format(name, *figures, f"{peak_mib(side.process.pid):.0f}"))
        side.end()
    for _ in range(BACKLOG_TURNS if backlog else 0):
        for name, checkout in checkouts.items():
            print(f"backlog, {name}: {pace(backlog, checkout, folder):.0f} frames/s")


def pace(frames: int, checkout: Path | None, folder: Path) -> float:
    """Return the rows per second with which a directory of small frames is worked off, from the first to the last."""
    from PIL import Image

    with tempfile.TemporaryDirectory(dir=folder) as place:
        watched, state = Path(place, "watched"), Path(place, "state")
        watched.mkdir()
        state.mkdir()
        for number in range(frames):
            grey = number.to_bytes(2, "big") * (SMALL_PX * SMALL_PX // 2)
            Image.frombytes("L", (SMALL_PX, SMALL_PX), grey).save(watched / f"{number:05}.png")
        side = Side("--be-daemon", str(watched), str(state), checkout=checkout)
        at_ns = [heard["at_ns"] for heard in (side.hear() for _ in range(frames + 1)) if "name" in heard]
        side.end()
    return (frames - 1) / ((at_ns[-1] - at_ns[0]) / 1e9)


def main() -> None:
    """Print the table and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--stages", action="store_true", help="say where a frame's time goes, without Keras")
    parser.add_argument("--large", action="store_true", help="with --stages: frames of 4096 x 3536 pixels, 16 bits")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another checkout to run in turn with this one")
    parser.add_argument(
        "--backlog", type=int, default=0, metavar="FRAMES", help="work off so many small frames as well"
    )
    parser.add_argument("--be-daemon", nargs=2, metavar=("DIRECTORY", "STATE"), help=argparse.SUPPRESS)
    parser.add_argument("--be-keras", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.be_daemon:
        run_daemon(*map(Path, arguments.be_daemon))
        return
    if arguments.be_keras:
        run_keras()
        return
    if arguments.stages:
        with tempfile.TemporaryDirectory() as folder:
            number = arguments.frames + WARM_UP
            made = large_frames(number) if arguments.large else drawn_frames(number, Path(folder))
            stages(made, arguments.backlog, arguments.beside, Path(folder))
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
