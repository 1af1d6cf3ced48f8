"""
Draw docs/live.svg anew: what `emwatch run` shows on a terminal while a pretend microscope writes 24 frames.

    python .ci/draw_live_view.py

The daemon, the model and the view are the real ones; only the directory's name is made up.
"""

import io
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from emwatch.alerts.alert import Alert
from emwatch.cli.terminal.live import LiveView
from emwatch.config import load
from emwatch.ingest.events import Event, Ready
from emwatch.service.daemon import Daemon
from emwatch.service.progress import Progress

SHOWN_AS = Path("/srv/sem/frames")
CONFIG = """\
watch: {directory: frames}
ledger: {path: ledger.sqlite3}
targets:
  - {name: wires, category: [Nanowires, Fibres], min_probability: 0.6}
"""
MICROSCOPE = ("--vendor", "mixed", "--frames", "24", "--rate", "1.5", "--mode", "tmp-rename", "--seed", "2026")

console = Console(file=io.StringIO(), record=True, force_terminal=True, color_system="truecolor", width=112)
progress = Progress()
view = LiveView(console, progress, everything=False)
ready = threading.Event()


def tell(event: Event) -> None:
    """Show what happens, as `emwatch run` does."""
    view.tell(event)
    if isinstance(event, Ready):
        ready.set()


def show(alert: Alert) -> None:
    """Show a hit as one in the made-up directory."""
    view.show(replace(alert, path=SHOWN_AS / alert.path.name))


with tempfile.TemporaryDirectory() as folder:
    frames = Path(folder, "frames")
    frames.mkdir()
    Path(folder, "config.yaml").write_text(CONFIG, encoding="utf-8")
    daemon = Daemon(load(Path(folder, "config.yaml"), environ={}).config, tell=tell, show=show, progress=progress)
    worker = threading.Thread(target=daemon.run)
    worker.start()
    ready.wait(60)
    subprocess.run([sys.executable, "-m", "emwatch", "simulate", "-q", "--out", frames, *MICROSCOPE], check=True)
    time.sleep(2)
    console.print(view.picture())
    daemon.stop()
    worker.join()

console.save_svg("docs/live.svg", title=f"emwatch run {SHOWN_AS}", unique_id="live")
