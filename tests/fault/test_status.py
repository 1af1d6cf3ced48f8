"""`emwatch status` answers whatever the watched directory does: it never asks the system about it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from emwatch.config import load
from emwatch.service.doctor import Machine
from emwatch.service.doctor.daemon import check

if TYPE_CHECKING:
    from conftest import Program

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_system_call_names_the_watched_directory(emwatch: Program) -> None:
    daemon = emwatch.start("run", "--engine", "stub", "--plain")
    try:
        assert daemon.stderr is not None
        while "ready" not in (line := daemon.stderr.readline()):
            assert line
        trace = emwatch.home / "trace"
        command = [shutil.which("strace"), "-f", "-o", trace, "-e", "trace=%file,%desc,%process"]
        done = subprocess.run(
            [*command, sys.executable, "-m", "emwatch", "status", "--json"],
            env=emwatch.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=30)
    calls = trace.read_text()

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["directories"][0]["path"] == os.fspath(emwatch.watched)
    assert os.fspath(emwatch.ledger) in calls
    # What it prints names the directory; no other call may.
    naming = [line for line in calls.splitlines() if os.fspath(emwatch.watched) in line and " write(" not in line]
    assert [line for line in naming if " read(" not in line] == []


def test_it_answers_while_the_daemon_stands_still(emwatch: Program) -> None:
    daemon = emwatch.start("run", "--engine", "stub", "--plain")
    try:
        assert daemon.stderr is not None
        while "ready" not in (line := daemon.stderr.readline()):
            assert line
        daemon.send_signal(signal.SIGSTOP)
        asked = json.loads(emwatch("status", "--json").stdout)
        assert (asked["running"], asked["pid"]) == (True, daemon.pid)
        config = load(None, {"watch.directory": emwatch.watched, "ledger.path": emwatch.ledger}, environ={}).config
        later = datetime.now(UTC) + timedelta(minutes=2)
        [finding] = [each for checked in check(config, Machine(later)) for each in checked.findings]
        assert "its process is stopped" in finding.found
        assert finding.mend == f"kill -CONT {daemon.pid}"
    finally:
        daemon.send_signal(signal.SIGCONT)
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=30)
