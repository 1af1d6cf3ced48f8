from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli
from emwatch.errors import Truncated
from emwatch.frame import (
    AcquisitionMetadata,
    FrameState,
    Outcome,
    Reading,
)
from emwatch.simulate.microscope import Microscope
from emwatch.testing import make_failure, make_metadata, make_outcome, make_prediction, make_stat_key

if TYPE_CHECKING:
    from emwatch.readers.sandbox.limits import Limits
    from tests.forked import ForkServer

Run = Callable[..., subprocess.CompletedProcess[str]]

STUB_LAB = """\
watch: {{directory: {folder}/frames, data_bar: never}}
ledger: {{path: {folder}/ledger.sqlite3}}
model: {{engine: stub}}
"""


@pytest.fixture(name="no_configuration_of_this_machine", autouse=True)
def _no_configuration_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EMWATCH_")]:
        if name not in {"EMWATCH_REAL_FRAMES", "EMWATCH_LABELLED_FRAMES"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY", "JOURNAL_STREAM", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(name="emwatch_here")
def _emwatch_here() -> Run:
    """The command line in this process, where no process is the point."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done = CliRunner().invoke(cli, [str(each) for each in arguments])
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture(name="emwatch")
def _emwatch(forks: ForkServer) -> Run:
    """The real program in its own process: returns its exit code, stdout and stderr."""

    def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        if not environ:  # a variable may be meant for Python itself
            return forks.run(arguments, os.environ)
        return subprocess.run(
            [sys.executable, "-m", "emwatch", *map(str, arguments)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=100,
            env={**os.environ, **environ},
            check=False,
        )

    return run


@pytest.fixture(name="stub_lab")
def _stub_lab(emwatch: Run, tmp_path: Path) -> Callable[[int], Run]:
    """Makes the command with the configuration of this folder, in which so many simulated frames are recorded by the stub."""

    def make(frames: int) -> Run:
        list(Microscope(tmp_path / "frames", frames, rate=0, seed=1).run())
        config = tmp_path / "lab.yaml"
        config.write_text(STUB_LAB.format(folder=tmp_path), "utf-8")

        def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
            return emwatch(*arguments, "--config", config)

        assert run("run", "--once").returncode == 0
        return run

    return make


@pytest.fixture(name="on_terminal")
def _on_terminal() -> Callable[..., str]:
    """The real program on a terminal of 120 columns: returns all that it writes."""
    pty = pytest.importorskip("pty")

    def run(*arguments: str | Path, **environ: str) -> str:
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "emwatch", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **environ},
        )
        os.close(slave)
        written = b""
        try:
            while part := os.read(master, 65536):
                written += part
        except OSError:  # the program has ended and nothing is left
            pass
        os.close(master)
        process.wait(timeout=30)
        return written.decode().replace("\r\n", "\n")

    return run


@dataclass(frozen=True)
class Row:
    """What a test's ledger holds of one file."""

    name: str
    category: str | None = "Nanowires"
    probability: float = 0.9
    magnification: float | None = 10_000.0
    tilt: float | None = 0.0
    hours_ago: float = 0.0
    uncertain: bool = False
    target: str = ""
    state: FrameState = FrameState.RECORDED


ROWS = (
    Row("old.tif", "Powder", hours_ago=72),
    Row("unsure.tif", "Tips", 0.31, 800.0, uncertain=True, hours_ago=5),
    Row("blind.tif", "Fibres", 0.7, None, None, hours_ago=4),
    Row("tilted.tif", "Nanowires", 0.95, 20_000.0, 52.0, hours_ago=1, target="wires"),
    Row("flat.tif", "Nanowires", 0.85, 5_000.0, 0.0, hours_ago=0.5),
    Row("cut.tif", None, hours_ago=0.4, state=FrameState.FAILED),
    Row("notes.txt", None, hours_ago=0.3, state=FrameState.SKIPPED),
)


@pytest.fixture(name="written_ledger", scope="session")
def _written_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite3", ROWS)


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path, written_ledger: Path) -> Path:
    """A ledger with `ROWS`, written by the real writer."""
    return Path(shutil.copy(written_ledger, tmp_path))


@pytest.fixture(name="write_ledger")
def _write_ledger() -> Callable[[Path, tuple[Row, ...]], Path]:
    return write_ledger


@pytest.fixture(name="make_row")
def _make_row() -> type[Row]:
    return Row


def write_ledger(path: Path, rows: tuple[Row, ...]) -> Path:
    from emwatch.ledger.writer import Ledger

    with Ledger(path) as ledger:
        for row in rows:
            ledger.record(_outcome(row), datetime.now(UTC) - timedelta(hours=row.hours_ago))
    return path


def _outcome(row: Row) -> Outcome:
    path = Path("/data/sem") / row.name
    written_at = datetime.now(UTC) - timedelta(hours=row.hours_ago)
    if row.category is None:
        key = make_stat_key(written_at)
        return make_failure(path, state=row.state, stat_key=key, reason=f"{path}: ends early")
    numbers = {"magnification": row.magnification, "stage_tilt_deg": row.tilt}
    return make_outcome(
        path,
        row.name,
        targets=(row.target,) if row.target else (),
        written_at=written_at,
        metadata=make_metadata("Zeiss", **{name: value for name, value in numbers.items() if value is not None}),
        prediction=make_prediction(row.category, row.probability, uncertain=row.uncertain),
    )


class Bars:
    """Reads every bar as 1,234 times at 7 mm; counts what it was given."""

    asked: list[str]
    limits: list[Limits]
    broken = False

    def __init__(self, limits: Limits) -> None:
        self.limits.append(limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, path: Path, sha256: str) -> AcquisitionMetadata:
        self.asked.append(path.parent.name)
        assert len(sha256) == 64
        if self.broken:
            raise Truncated(f"{path}: ends early")
        readings = {
            "magnification": Reading(1234.0, "x1.234k", "data bar", reason="read with confidence 0.95"),
            "working_distance_mm": Reading(7.0, "WD 7.0mm", "data bar"),
        }
        return AcquisitionMetadata(None, readings)


@pytest.fixture(name="bars")
def _bars(monkeypatch: pytest.MonkeyPatch) -> type[Bars]:
    """The `ocr` extra as if it were installed, with a reader of known answers."""

    class OfThisTest(Bars):
        asked: list[str] = []  # noqa: RUF012 - one list a test
        limits: list[Limits] = []  # noqa: RUF012

    monkeypatch.setattr("emwatch.readers.data_bar.ocr.is_installed", lambda: True)
    monkeypatch.setattr("emwatch.readers.data_bar.sandbox.BarSandbox", OfThisTest)
    return OfThisTest
