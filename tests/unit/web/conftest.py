from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from emwatch.cli.main import cli
from emwatch.config import Config, load
from emwatch.web.app import Settings, create_app
from emwatch.web.security import Access

Open = Callable[..., FlaskClient]
NOWHERE = Path("/nonexistent")


@pytest.fixture(name="recorded", scope="package")
def _recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve simulated frames and a file that is none, recorded with the stub engine."""
    folder = tmp_path_factory.mktemp("recorded")
    frames = folder / "frames"
    frames.mkdir()
    settings = folder / "lab.yaml"
    settings.write_text(
        "watch: {directory: frames}\nledger: {path: ledger.sqlite3}\nmodel: {engine: stub}\n"
        "targets:\n  - {name: anything, min_probability: 0}\n  - {name: never, min_probability: 0, magnification: {min: 1000000000}}\n"
    )
    run = CliRunner()
    simulated = ["simulate", "--out", str(frames), "--frames", "12", "--rate", "0", "--seed", "3"]
    assert run.invoke(cli, simulated).exit_code == 0
    (frames / "torn.tif").write_bytes((frames / "frame_0001.tif").read_bytes()[:5000])
    (frames / "<script>alert(1)<!--.tif").write_bytes((frames / "frame_0002.tif").read_bytes() + b"\0")
    ended = run.invoke(cli, ["run", "--once", "--config", str(settings)], catch_exceptions=False)
    assert ended.exit_code in {0, 4}
    return folder


@pytest.fixture(name="config")
def _config(recorded: Path, tmp_path: Path) -> Config:
    """Their configuration with a ledger of this test's own."""
    copied = tmp_path / "ledger.sqlite3"
    shutil.copy(recorded / "ledger.sqlite3", copied)
    flags = {"ledger.path": copied}
    return load(recorded / "lab.yaml", flags, environ={}, user_file=NOWHERE, system_file=NOWHERE).config


@pytest.fixture(name="browser")
def _browser(config: Config, tmp_path: Path) -> Open:
    """Opens the page; ``token`` protects it."""

    def opened(token: str = "", ask_per_minute: int = 30) -> FlaskClient:
        access = Access(frozenset({"localhost", "127.0.0.1"}), token)
        return create_app(config, Settings(access, tmp_path / "pictures", ask_per_minute)).test_client()

    return opened
