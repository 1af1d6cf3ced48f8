"""The units under a real systemd: the first process of namespaces of its own, with copies of /etc and /var/lib."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from emwatch.simulate.microscope import Microscope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]

#: Makes the namespaces a machine of its own: whatever is installed, recorded or started in it stays in it.
MACHINE = """
set -e
mount --make-rprivate /
for place in etc srv; do mkdir -p "$1/$place"; done
cp -a /etc/. "$1/etc/"
rm -rf "$1/etc/systemd/system" && mkdir -p "$1/etc/systemd/system"
mount --bind "$1/etc" /etc
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/cache
mount --bind "$1/srv" /srv
mount -t tmpfs tmpfs /run
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
export container=other
printf '[Unit]\\nDefaultDependencies=no\\n' > /etc/systemd/system/idle.target
exec /lib/systemd/systemd --system --unit=idle.target --log-target=null --show-status=no
"""

#: What this test changes in every service: nothing of the real machine is started, and waiting is short.
DROP_IN = """
[Unit]
DefaultDependencies=no
[Service]
RestartSec=0.3
{more}
"""


class Machine:
    """A running systemd, from outside."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.srv = Path(f"/proc/{process}/root/srv")

    def __call__(self, *argv: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        entered = ["nsenter", "-t", str(self.process), "-m", "-p", "-C", "--wd=/", *map(os.fspath, argv)]
        ended = subprocess.run(entered, capture_output=True, text=True, timeout=120, check=False)
        assert not check or ended.returncode == 0, f"{argv}: {ended.stdout}{ended.stderr}"
        return ended

    def emwatch(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self(sys.executable, "-m", "emwatch", *arguments, check=check)

    def show(self, unit: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self("systemctl", "show", unit).stdout.splitlines() if "=" in line)

    def wait_for(self, question: Callable[[], Any], seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, f"not so after {seconds} s"
            time.sleep(0.1)
        return answer

    def recorded(self, ledger: str = "ledger.sqlite3") -> int:
        question = "SELECT count(*) FROM frames WHERE state = 'recorded'"
        program = f"import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute({question!r}).fetchone()[0])"
        return int(self(sys.executable, "-c", program, f"/var/lib/emwatch/{ledger}").stdout)

    def main_process(self, unit: str = "emwatch") -> psutil.Process:
        """The main process as this side of the namespace numbers it."""
        inside = self.show(unit)["MainPID"]
        for each in psutil.Process(self.process).children(recursive=True):
            status = Path(f"/proc/{each.pid}/status").read_text(encoding="utf-8")
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid")).split()
            if numbers[-1] == inside:
                return each
        raise AssertionError(f"no process {inside}")


@pytest.fixture(name="machine", scope="module")
def _machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if os.geteuid() != 0 or not Path("/lib/systemd/systemd").exists() or shutil.which("unshare") is None:
        pytest.skip("needs root, systemd and unshare")
    place = tmp_path_factory.mktemp("machine")
    command = ["unshare", "-m", "-p", "-C", "-f", "--kill-child", "--mount-proc", "bash", "-c", MACHINE, "bash", place]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as unshare:
        try:
            machine = Machine(_first_process(unshare))
            _drop_in(machine)
            yield machine
        finally:
            for child in psutil.Process(unshare.pid).children() if unshare.poll() is None else []:
                child.kill()
            unshare.wait(30)


def _first_process(unshare: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if unshare.poll() is not None:
            assert unshare.stderr is not None
            pytest.skip(f"no systemd in namespaces here: {unshare.stderr.read().strip()}")
        for child in psutil.Process(unshare.pid).children():
            answer = Machine(child.pid)("systemctl", "is-active", "idle.target", check=False)
            if answer.stdout.strip() == "active":
                return child.pid
        time.sleep(0.2)
    pytest.skip("no systemd in namespaces here: it does not answer")


def _drop_in(machine: Machine) -> None:
    more = ["WatchdogSec=6"]
    if ROOT.is_relative_to("/tmp") or Path(sys.base_prefix).is_relative_to("/tmp"):
        more += ["PrivateTmp=no", "ReadWritePaths=/tmp"]
    if Path(sys.base_prefix).is_relative_to("/root") or ROOT.is_relative_to("/root"):
        more += ["User=root", "Group=root"]  # without capabilities
    folder = Path(f"/proc/{machine.process}/root/etc/systemd/system/service.d")
    folder.mkdir()
    (folder / "test.conf").write_text(DROP_IN.format(more="\n".join(more)), encoding="utf-8")


def _configure(machine: Machine, name: str, more: str = "") -> Path:
    """Write a configuration that watches a directory of its own; return its path inside."""
    (machine.srv / name).mkdir(exist_ok=True)
    text = f"watch: {{directory: /srv/{name}, data_bar: never}}\n{textwrap.dedent(more)}"
    (machine.srv / f"{name}.yaml").write_text(text, encoding="utf-8")
    (machine.srv / f"{name}.yaml").chmod(0o644)
    return Path(f"/srv/{name}.yaml")


def _draw(machine: Machine, name: str, frames: int, first: int = 1) -> None:
    list(Microscope(machine.srv / name, frames, rate=0, seed=first, first_number=first).run())


class TestLife:
    """In the order in which they stand: one life of the service."""

    def test_install_starts_it_and_returns_when_it_is_ready(self, machine: Machine) -> None:
        config = _configure(machine, "sem1")
        _draw(machine, "sem1", 3)

        machine.emwatch("service", "install", "--config", config)

        shown = machine.show("emwatch")
        assert (shown["ActiveState"], shown["SubState"], shown["Type"]) == ("active", "running", "notify")
        assert shown["UnitFileState"] == "enabled"
        assert "watching" in shown["StatusText"]
        assert machine("id", "emwatch").returncode == 0
        machine.wait_for(lambda: machine.recorded() == 3)
        assert machine.emwatch("service", "status").returncode == 0

    def test_a_second_install_of_the_same_changes_no_file(self, machine: Machine) -> None:
        file = Path(f"/proc/{machine.process}/root/etc/systemd/system/emwatch.service")
        before = file.stat().st_mtime_ns

        machine.emwatch("service", "install", "--config", "/srv/sem1.yaml")

        assert file.stat().st_mtime_ns == before
        assert machine.show("emwatch")["ActiveState"] == "active"

    def test_reload_takes_over_a_configuration_and_refuses_a_broken_one(self, machine: Machine) -> None:
        before = machine.show("emwatch")["MainPID"]
        _configure(machine, "sem1", "targets: [{name: any, min_probability: 0}]\n")
        machine("systemctl", "reload", "emwatch")
        _draw(machine, "sem1", 1, first=4)
        machine.wait_for(lambda: machine.recorded() == 4)
        hits = machine.emwatch("log", "--hits", "--count", "--ledger", "/var/lib/emwatch/ledger.sqlite3").stdout
        _configure(machine, "sem1", "targets: [{nome: any}]\n")
        refused = machine("systemctl", "reload", "emwatch", check=False)
        shown = machine.show("emwatch")
        _configure(machine, "sem1")

        assert hits.strip() == "1"
        assert refused.returncode != 0
        assert (shown["ActiveState"], shown["MainPID"]) == ("active", before)

    def test_killed_it_is_started_again_and_completes_what_came_meanwhile(self, machine: Machine) -> None:
        restarts = int(machine.show("emwatch")["NRestarts"])
        machine.main_process().send_signal(signal.SIGKILL)
        _draw(machine, "sem1", 2, first=5)

        machine.wait_for(lambda: machine.recorded() == 6)
        shown = machine.show("emwatch")
        assert int(shown["NRestarts"]) == restarts + 1
        machine.wait_for(lambda: machine.show("emwatch")["ActiveState"] == "active")

    def test_a_daemon_that_hangs_misses_the_watchdog_and_is_started_again(self, machine: Machine) -> None:
        shown = machine.show("emwatch")
        machine.main_process().send_signal(signal.SIGSTOP)
        _draw(machine, "sem1", 1, first=7)

        machine.wait_for(lambda: int(machine.show("emwatch")["NRestarts"]) == int(shown["NRestarts"]) + 1)
        machine.wait_for(lambda: machine.recorded() == 7)
        machine.wait_for(lambda: machine.show("emwatch")["ActiveState"] == "active")
        assert machine.show("emwatch")["MainPID"] != shown["MainPID"]

    def test_an_idle_daemon_pets_the_watchdog(self, machine: Machine) -> None:
        before = machine.show("emwatch")
        time.sleep(7)

        after = machine.show("emwatch")
        assert before["MainPID"] == after["MainPID"]
        assert before["WatchdogTimestampMonotonic"] != after["WatchdogTimestampMonotonic"]

    def test_doctor_finds_nothing_beside_the_running_service(self, machine: Machine) -> None:
        ledger = "/var/lib/emwatch/ledger.sqlite3"
        said = machine.emwatch("doctor", "--config", "/srv/sem1.yaml", "--ledger", ledger, "--json", check=False)

        found = [each for each in json.loads(said.stdout)["findings"] if each["level"] != "note"]
        assert found == []

    def test_stop_ends_it_cleanly_and_soon(self, machine: Machine) -> None:
        began = time.monotonic()
        machine("systemctl", "stop", "emwatch")
        took_s = time.monotonic() - began

        shown = machine.show("emwatch")
        assert (shown["ActiveState"], shown["Result"], shown["ExecMainStatus"]) == ("inactive", "success", "0")
        assert took_s < 15
        status = machine.emwatch("service", "status", check=False)
        assert (status.returncode, "inactive, enabled" in status.stdout) == (3, True)

    def test_a_bad_configuration_is_not_tried_again(self, machine: Machine) -> None:
        _configure(machine, "sem1", "targets: [{nome: any}]\n")
        refused = machine("systemctl", "start", "emwatch", check=False)
        time.sleep(1)
        shown = machine.show("emwatch")
        _configure(machine, "sem1")

        assert refused.returncode != 0
        assert (shown["ActiveState"], shown["NRestarts"]) == ("failed", "0")

    def test_uninstall_leaves_configuration_and_ledger(self, machine: Machine) -> None:
        machine.emwatch("service", "uninstall")

        assert machine.show("emwatch")["LoadState"] == "not-found"
        assert (machine.srv / "sem1.yaml").is_file()
        assert machine.recorded() == 7


def test_the_page_runs_as_a_service(machine: Machine) -> None:
    config = _configure(machine, "sem1", "web: {port: 18754}\n")
    machine.emwatch("service", "install", "--page", "--config", config)

    def page() -> str:
        try:
            with urllib.request.urlopen("http://127.0.0.1:18754/api/v1/frames", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    assert "sem1" in machine.wait_for(page)
    machine.emwatch("service", "uninstall", "--page")
    assert machine.show("emwatch-page")["ActiveState"] == "inactive"


def test_two_instruments_have_a_ledger_each(machine: Machine) -> None:
    for name, frames in (("fib", 1), ("zeiss", 2)):
        config = _configure(machine, name)
        _draw(machine, name, frames)
        machine.emwatch("service", "install", "--instance", name, "--config", config)

    for name, frames in (("fib", 1), ("zeiss", 2)):
        machine.wait_for(lambda name=name, frames=frames: machine.recorded(f"{name}/ledger.sqlite3") == frames)
    machine.emwatch("service", "uninstall", "--instance", "fib")
    assert machine.show("emwatch@zeiss")["ActiveState"] == "active"
    machine.emwatch("service", "uninstall", "--instance", "zeiss")
    assert machine.show("emwatch@zeiss")["LoadState"] == "not-found"
