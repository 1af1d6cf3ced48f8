"""Fixtures shared by every test."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from emwatch.ledger.care import upgrade
from emwatch.ledger.database import driver_of
from emwatch.ledger.schema import REVISION
from tests.forked import ForkServer
from tests.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

#: How many examples a test with drawn input takes; `--hypothesis-profile thorough` takes more.
settings.register_profile("quick", max_examples=25)
settings.register_profile("thorough", max_examples=100)
settings.load_profile("quick")

REPOSITORY = Path(__file__).resolve().parent.parent

#: A file system in memory, used for the folders of quick tests if so much is free.
_IN_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 3 * 1024**3


def pytest_configure(config: pytest.Config) -> None:
    """
    Let Ctrl-C through, and keep the folders of quick tests in memory.

    What a script starts in the background ignores Ctrl-C, and so would all that the tests start and interrupt. On a disk each
    commit waits some ms, and nothing else is done meanwhile.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if (
        config.option.markexpr.startswith("not slow and not fault")
        and config.option.basetemp is None
        and os.access(_IN_MEMORY, os.W_OK)
        and shutil.disk_usage(_IN_MEMORY).free > _ENOUGH_BYTES
    ):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_IN_MEMORY))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[pytest.TestReport]:
    """Fail what needs an extra and is not slow: extras are installed only where slow tests run, so it would never run."""
    report = yield
    if report.skipped and not item.get_closest_marker("slow") and not item.get_closest_marker("train"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if re.search(r"could not import|needs the (extra|\w+ extra)", reason):
            report.outcome, report.longrepr = "failed", f"{reason}: mark it slow, extras are installed for those tests"
    return report


def _reference_folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, REPOSITORY.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(
            f"needs real frames in {folder} (set {variable}); they are third-party material and not part of the project"
        )
    return folder


@pytest.fixture(name="real_frames", scope="session")
def _real_frames() -> Path:
    """Real SEM files of nine vendors with truth.tsv; the test is skipped where they are not on the machine."""
    return _reference_folder("EMWATCH_REAL_FRAMES", "frames")


@pytest.fixture(name="labelled_frames", scope="session")
def _labelled_frames() -> Path:
    """Real SEM frames in the ten categories with labels.tsv; the test is skipped where they are not on the machine."""
    return _reference_folder("EMWATCH_LABELLED_FRAMES", "labelled")


@pytest.fixture(name="forks", scope="session")
def _forks() -> Iterator[ForkServer]:
    forks = ForkServer()
    yield forks
    forks.close()


@pytest.fixture(name="new_ledgers_are_copies", autouse=True, scope="session")
def _new_ledgers_are_copies() -> Iterator[None]:
    """Empty ledgers that tests open get their tables from one that was migrated: in a fifth of the time."""
    real = upgrade.migrate
    migrated: list[sqlite3.Connection] = []

    def migrate(connection: Connection, migrations: Path, revision: str) -> None:
        driver = driver_of(connection)
        is_empty = driver.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if not is_empty or (migrations, revision) != (upgrade.MIGRATIONS, REVISION):
            real(connection, migrations, revision)
        elif migrated:
            migrated[0].backup(driver)
        else:
            real(connection, migrations, revision)
            migrated.append(sqlite3.connect(":memory:", check_same_thread=False))
            driver.backup(migrated[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upgrade, "migrate", migrate)
        yield
    for each in migrated:
        each.close()


@dataclass(frozen=True)
class Program:
    """``emwatch`` as an operator runs it, away from any configuration of this machine."""

    home: Path
    forks: ForkServer

    @property
    def watched(self) -> Path:
        return self.home / "frames"

    @property
    def ledger(self) -> Path:
        return self.home / "state" / "ledger.sqlite3"

    @property
    def environ(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("EMWATCH_", "XDG_", "NOTIFY_"))
        }
        return kept | {
            "HOME": os.fspath(self.home),
            "EMWATCH_LEDGER_PATH": os.fspath(self.ledger),
            "EMWATCH_WATCH_DIRECTORY": os.fspath(self.watched),
            "COLUMNS": "200",
        }

    def __call__(self, *arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = self.forks.run(arguments, self.environ)
        assert done.returncode == expect, f"exit {done.returncode}, expected {expect}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *arguments: str | Path, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "emwatch", *map(os.fspath, arguments)],
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, *filters: str) -> list[dict[str, Any]]:
        """The log as an operator gets it, skipped files included."""
        done = self("log", "--all", "--ndjson", "--limit", "100000", *filters, expect=0)
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(name="emwatch")
def _emwatch(tmp_path: Path, forks: ForkServer) -> Program:
    program = Program(tmp_path, forks)
    program.watched.mkdir()
    return program


@pytest.fixture(name="postgres", scope="session")
def _postgres() -> Iterator[Postgres]:
    """A PostgreSQL for the tests alone; a test is skipped where there is none."""
    with Postgres() as cluster:
        yield cluster
