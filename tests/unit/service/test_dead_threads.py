"""A thread of the daemon that dies of a fault of our own is noticed, told and started again."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from emwatch.config.schema import Config
from emwatch.ingest.events import Notice
from emwatch.service.daemon import Daemon

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.frame import Alert


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
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
        }
    )
    daemon = Daemon(config, tell=told.append, show=show)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    frame = watched / "frame.png"
    Image.linear_gradient("L").save(frame)
    began = time.monotonic()
    delivered = done.wait(60)
    daemon.stop()
    thread.join(60)
    print(f"delivered {time.monotonic() - began:.1f} s after its first delivery ended the thread")

    assert delivered
    assert (attempts, shown) == ([frame, frame], [frame])
    (notice,) = [each for each in told if isinstance(each, Notice) and each.level == "error"]
    assert "alerts on terminal" in notice.text
