"""The data bar child: what it gives, and that nothing a frame does to it reaches the parent or the next frame."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from PIL import Image

from emwatch.errors import ConfigError, EmwatchError, ReaderDied, Truncated, Unsteady, Vanished
from emwatch.readers.data_bar.ocr import is_installed
from emwatch.readers.data_bar.sandbox import BarSandbox
from emwatch.readers.sandbox.limits import Limits
from tests.acquisitions import save_barred
from tests.recogniser import DEED, write_modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="says")
def _says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a recogniser in place of the installed one, if any; what it reads is what this file holds."""
    monkeypatch.syspath_prepend(str(write_modules(tmp_path)))
    for name in ("rapidocr", "onnxruntime"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    says = tmp_path / "says.txt"
    says.write_text("EHT = 5.00 kV")
    monkeypatch.setenv(DEED, str(says))
    return says


@pytest.fixture(name="frame")
def _frame(tmp_path: Path) -> Path:
    return save_barred(tmp_path / "frame.png")


@pytest.fixture(name="box")
def _box() -> Iterator[BarSandbox]:
    with BarSandbox() as box:
        yield box


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_the_bar_shows_comes_back_with_its_source(box: BarSandbox, says: Path, frame: Path) -> None:
    assert says.exists()
    metadata = box.read(frame, _sha256(frame))

    assert metadata.vendor is None
    assert metadata.number("accelerating_voltage_kv") == 5.0
    assert {each.source for each in metadata.readings.values()} == {"data bar"}


def test_one_child_of_lowest_priority_reads_many_frames(box: BarSandbox, says: Path, frame: Path) -> None:
    assert says.exists()
    assert box.pid is None
    pids: list[int | None] = []
    for _ in range(2):
        box.read(frame, _sha256(frame))
        pids.append(box.pid)

    assert pids[0] == pids[1]
    if sys.platform != "win32":
        assert psutil.Process(pids[0]).nice() == 19


def test_another_content_is_refused(box: BarSandbox, says: Path, frame: Path) -> None:
    assert says.exists()
    before = _sha256(frame)
    Image.new("L", (200, 200)).save(frame)
    with pytest.raises(Unsteady, match=r"frame\.png: has another content"):
        box.read(frame, before)


def test_a_files_fault_is_its_own_error_and_the_child_lives_on(box: BarSandbox, says: Path, frame: Path) -> None:
    assert says.exists()
    half = frame.with_name("half.png")
    half.write_bytes(frame.read_bytes()[:5000])
    with pytest.raises(Truncated):
        box.read(half, _sha256(half))
    pid = box.pid
    with pytest.raises(Vanished):
        box.read(frame.with_name("gone.png"), "0" * 64)
    box.read(frame, _sha256(frame))

    assert pid == box.pid


@pytest.mark.parametrize(
    ("deed", "said"),
    [("KILL", "was killed by SIGKILL"), ("EAT", "needed more than the 2048 MiB of memory it may have")],
)
def test_a_frame_that_ends_two_children_is_blamed_and_the_next_is_read(
    box: BarSandbox, says: Path, frame: Path, deed: str, said: str
) -> None:
    says.write_text(deed)
    with pytest.raises(ReaderDied, match=rf"frame\.png: the data bar reader {said}, twice"):
        box.read(frame, _sha256(frame))
    says.write_text("EHT = 5.00 kV")

    assert box.read(frame, _sha256(frame)).number("accelerating_voltage_kv") == 5.0


def test_a_frame_that_takes_too_long_is_given_up(says: Path, frame: Path) -> None:
    says.write_text("HANG")
    with BarSandbox(Limits(seconds=0.3)) as box, pytest.raises(ReaderDied, match=r"still busy after 0\.3 s, twice"):
        box.read(frame, _sha256(frame))


def test_a_rest_ends_the_child_and_the_next_frame_starts_another(box: BarSandbox, says: Path, frame: Path) -> None:
    assert says.exists()
    box.read(frame, _sha256(frame))
    pid = box.pid
    box.rest()
    resting = box.pid
    box.read(frame, _sha256(frame))

    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert resting is None
    assert box.pid not in (None, pid)


def test_closing_from_another_thread_ends_a_read_at_once_and_for_good(says: Path, frame: Path) -> None:
    says.write_text("HANG")
    box = BarSandbox(Limits(seconds=60))
    raised: list[Any] = []

    def read() -> None:
        try:
            box.read(frame, _sha256(frame))
        except EmwatchError as error:
            raised.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    while box.pid is None:
        thread.join(0.01)
    began = time.monotonic()
    box.close()
    thread.join(20)

    assert not thread.is_alive()
    assert time.monotonic() - began < 10
    assert [type(each) for each in raised] == [EmwatchError]
    with pytest.raises(EmwatchError, match="was closed"):
        box.read(frame, _sha256(frame))


@pytest.mark.skipif(is_installed(), reason="the ocr extra is installed")
def test_without_the_extra_the_error_says_what_to_install(box: BarSandbox, frame: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'emwatch\[ocr\]'"):
        box.read(frame, _sha256(frame))

    assert box.pid is None


@pytest.mark.slow
@pytest.mark.skipif(not is_installed(), reason="needs the ocr extra")
def test_the_real_recogniser_works_within_the_limits(box: BarSandbox, frame: Path) -> None:
    metadata = box.read(frame, _sha256(frame))

    assert metadata.number("magnification") == 5000.0
    assert metadata.number("working_distance_mm") == 4.5
    assert metadata.number("accelerating_voltage_kv") == 5.0
