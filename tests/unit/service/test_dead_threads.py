"""A thread of the daemon that dies of a fault of our own is noticed, told and started again."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from PIL import Image

from emwatch.classify.bundles.bundle import default_directory
from emwatch.classify.bundles.store import store_of
from emwatch.config.schema import Config
from emwatch.ingest.events import Notice, Ready
from emwatch.service.daemon import Daemon

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.alerts.alert import Alert


def test_an_alert_that_ends_its_thread_is_tried_again_by_another(tmp_path: Path) -> None:
    watched = tmp_path / "frames"
    watched.mkdir()
    told: list[Any] = []
    shown: list[Path] = []
    attempts: list[Path] = []
    done = threading.Event()

    def show(alert: Alert) -> None:
        attempts.append(alert.path)
        if len(attempts) == 1:
            raise ZeroDivisionError
        shown.append(alert.path)
        done.set()

    config = Config.model_validate(
        {
            "watch": {"directory": (watched,), "data_bar": "never"},
            "ledger": {"path": tmp_path / "ledger.sqlite3"},
            "model": {"engine": "stub"},
            "targets": ({"name": "anything", "category": (), "min_probability": 0},),
            "alerts": {"terminal": {"kind": "terminal"}, "pager": writes(tmp_path / "pager")},
        }
    )
    daemon = Daemon(config, tell=told.append, show=show)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    frame = watched / "frame.png"
    Image.linear_gradient("L").save(frame)
    began = time.monotonic()
    delivered = done.wait(60)
    paged = comes(tmp_path / "pager", 20)
    daemon.stop()
    thread.join(60)
    print(f"delivered {time.monotonic() - began:.1f} s after its first delivery ended the thread")

    assert delivered
    assert (attempts, shown) == ([frame, frame], [frame])
    (notice,) = [each for each in told if isinstance(each, Notice) and each.level == "error"]
    assert "alerts on terminal" in notice.text
    assert paged == notice.text


def test_a_model_that_cannot_be_taken_over_is_announced_on_the_channels(tmp_path: Path) -> None:
    watched = tmp_path / "frames"
    watched.mkdir()
    told: list[Any] = []
    config = Config.model_validate(
        {
            "watch": {"directory": (watched,), "data_bar": "never"},
            "ledger": {"path": tmp_path / "ledger.sqlite3"},
            "alerts": {"terminal": {"kind": "terminal"}, "pager": writes(tmp_path / "pager")},
        }
    )
    store = store_of(config)
    shutil.copytree(default_directory(), tmp_path / "second")
    second = store.add(tmp_path / "second")
    ready = threading.Event()
    daemon = Daemon(
        config, tell=lambda each: (told.append(each), isinstance(each, Ready) and ready.set())[0], show=lambda _: None
    )
    thread = threading.Thread(target=daemon.run)
    thread.start()
    assert ready.wait(60)
    (second.directory / "head.npz").write_bytes(b"cut")
    store.activate(second, datetime.now(UTC))
    daemon.refresh()
    paged = comes(tmp_path / "pager", 30)
    daemon.stop()
    thread.join(60)

    assert "head.npz" in paged
    assert paged in [each.text for each in told if isinstance(each, Notice) and each.level == "error"]


def writes(file: Path) -> dict[str, Any]:
    """A channel that writes the reason of what it is sent for the target emwatch into a file."""
    script = "import sys; sys.argv[2] == 'emwatch' and open(sys.argv[1], 'w').write(sys.argv[3])"
    return {"kind": "command", "argv": (sys.executable, "-c", script, str(file), "{target}", "{reason}")}


def comes(file: Path, within_s: float) -> str:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if file.exists() and (text := file.read_text(encoding="utf-8")):
            return text
        time.sleep(0.05)
    return ""
