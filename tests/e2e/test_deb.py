"""
The Debian package in a Debian of its own that runs systemd and has no network: installed, upgraded, removed, purged.

It is built from a wheelhouse, so the recipe for PCs without a network is shown, too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from emwatch.simulate.microscope import Microscope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path("/usr/bin/python3")
TOOLS = ("mmdebstrap", "systemd-nspawn", "dpkg-deb", "nsenter")
LEDGER = "/var/lib/emwatch/ledger.sqlite3"

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


def run(*argv: str | Path, **options: Any) -> str:
    ended = subprocess.run(
        [*map(os.fspath, argv)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    assert ended.returncode == 0, f"{argv}: {ended.stdout}"
    return ended.stdout


@pytest.fixture(name="packages", scope="module")
def _packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the package as 1.deb, and as 2.deb with a higher version."""
    missing = [each for each in TOOLS if shutil.which(each) is None]
    if missing or os.geteuid() != 0 or not PYTHON.exists():
        pytest.skip(f"needs Debian's Python, root, and {', '.join(TOOLS)}; missing: {', '.join(missing) or 'root'}")
    place = tmp_path_factory.mktemp("packages")
    # The wheels must fit Debian's Python, which need not be the one that runs the tests.
    version = run(PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    fitting = ["--python-version", version, "--only-binary=:all:"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    run(ROOT / "packaging/wheelhouse", place / "wheels", "web", *fitting, env=environment)
    build = [sys.executable, ROOT / "packaging/build_deb.py", "--compression=none", "--wheelhouse", place / "wheels"]
    run(*build, "--output", place)
    [made] = place.glob("*.deb")
    run("dpkg-deb", "--raw-extract", made, place / "next")
    control = place / "next/DEBIAN/control"
    control.write_text(re.sub(r"(Version: .*)-1", r"\1-2", control.read_text("utf-8")), "utf-8")
    run("dpkg-deb", "-Znone", "--build", place / "next", place / "2.deb")
    shutil.rmtree(place / "next")
    made.rename(place / "1.deb")
    yield place
    shutil.rmtree(place)  # some 600 MB


class Debian:
    """A running Debian, from outside."""

    def __init__(self, root: Path, process: int) -> None:
        self.root = root
        self._enter = ["nsenter", "-t", str(process), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]

    def __call__(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
        ended = subprocess.run(
            [*self._enter, *argv], capture_output=True, text=True, timeout=200, check=False, env=environment
        )
        assert not check or ended.returncode == 0, f"{argv}: {ended.stdout}{ended.stderr}"
        return ended

    def show(self, unit: str = "emwatch") -> dict[str, str]:
        return dict(line.split("=", 1) for line in self("systemctl", "show", unit).stdout.splitlines() if "=" in line)

    def draw(self, frames: int, first: int) -> None:
        list(Microscope(self.root / "srv/sem", frames, rate=0, seed=first, first_number=first).run())

    def recorded(self) -> int:
        return int(self("emwatch", "log", "--count", "--ledger", LEDGER).stdout)

    def wait_for(self, question: Callable[[], Any], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not question():
            assert time.monotonic() < deadline, f"not so after {seconds} s"
            time.sleep(0.3)


@pytest.fixture(name="debian", scope="module")
def _debian(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """The smallest Debian that has systemd and what the package asks for, and nothing else."""
    root = tmp_path_factory.mktemp("debian") / "root"
    depends = re.sub(r" \(.*?\)", "", run("dpkg-deb", "--field", packages / "1.deb", "Depends").strip())
    release = run("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME").strip()
    wanted = [f"--include=systemd,dbus,{depends.replace(' ', '')}", "--dpkgopt=force-unsafe-io"]
    run("mmdebstrap", "--quiet", "--variant=essential", *wanted, release, root)
    (root / "srv/sem").mkdir()
    command = ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "--private-network", "--console=pipe"]
    command += ["-D", root, f"--bind-ro={packages}:/packages", "--boot", "--", "--unit=basic.target"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as nspawn:
        try:
            yield Debian(root, _first_process(root, nspawn))
        finally:
            for child in psutil.Process(nspawn.pid).children() if nspawn.poll() is None else []:
                child.kill()
            nspawn.wait(30)
            shutil.rmtree(root)


def _not_below(*folders: str) -> list[str]:
    return [word for folder in folders for word in ("-not", "-path", f"{folder}/*")]


def _first_process(root: Path, nspawn: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and nspawn.poll() is None:
        for child in psutil.Process(nspawn.pid).children():
            answer = Debian(root, child.pid)("systemctl", "is-active", "basic.target", check=False)
            if answer.stdout.strip() == "active":
                return child.pid
        time.sleep(0.3)
    pytest.skip("systemd-nspawn cannot start a Debian here")


def findings(debian: Debian) -> list[dict[str, Any]]:
    found = json.loads(debian("emwatch", "doctor", "--json", check=False).stdout)["findings"]
    return [each for each in found if each["level"] != "note"]


class TestLife:
    """In the order in which they stand: one life of the package."""

    def test_it_installs_and_says_what_comes_next(self, debian: Debian) -> None:
        said = debian("dpkg", "--install", "/packages/1.deb")

        assert "next: emwatch init" in said.stdout
        assert debian("dpkg", "--verify", "emwatch").stdout == ""
        assert debian("stat", "-c", "%U:%G %a", "/var/lib/emwatch").stdout == "emwatch:emwatch 750\n"
        assert debian("emwatch", "--version").stdout.startswith("emwatch")
        assert (debian.root / "usr/share/man/man1/emwatch.1.gz").is_file()
        assert debian("systemctl", "is-enabled", "emwatch", check=False).stdout == "disabled\n"

    def test_the_demo_works_for_anybody(self, debian: Debian) -> None:
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/tmp")
        shown = debian(*as_nobody, "emwatch", "demo", "--frames", "4", "--rate", "5").stdout

        assert all(f"frame_000{number}.tif" in shown for number in range(1, 5))

    def test_a_configuration_makes_it_a_service_that_the_doctor_finds_healthy(self, debian: Debian) -> None:
        debian.draw(3, first=1)
        debian("emwatch", "init", "/srv/sem", "--category", "Nanowires")
        assert findings(debian) == []

        debian("emwatch", "service", "install")

        shown = debian.show()
        assert (shown["ActiveState"], shown["UnitFileState"]) == ("active", "enabled")
        assert shown["FragmentPath"].endswith("/lib/systemd/system/emwatch.service")  # the package's, not one in /etc
        debian.wait_for(lambda: debian.recorded() == 3)
        assert findings(debian) == []
        assert "/usr/lib/systemd" in debian("emwatch", "service", "status").stdout

    def test_the_running_services_exposure_is_at_most_2(self, debian: Debian) -> None:
        debian("systemd-analyze", "security", "--threshold=20", "--no-pager", "emwatch.service")

    def test_an_upgrade_keeps_configuration_and_ledger_and_starts_it_again(self, debian: Debian) -> None:
        config = debian.root / "etc/emwatch/config.yaml"
        config.write_text(config.read_text("utf-8") + "# ours\n", "utf-8")
        before = config.read_bytes()
        daemon = debian.show()["MainPID"]

        debian("dpkg", "--install", "/packages/2.deb")
        debian.draw(1, first=4)

        debian.wait_for(lambda: debian.show()["ActiveState"] == "active")
        assert debian.show()["MainPID"] != daemon
        debian.wait_for(lambda: debian.recorded() == 4)
        assert config.read_bytes() == before
        assert findings(debian) == []

    def test_a_removal_stops_it_and_keeps_configuration_and_ledger(self, debian: Debian) -> None:
        debian("dpkg", "--remove", "emwatch")

        assert debian.show()["ActiveState"] == "inactive"
        assert not (debian.root / "opt/emwatch").exists()
        assert (debian.root / "etc/emwatch/config.yaml").is_file()
        assert (debian.root / LEDGER.lstrip("/")).is_file()

    def test_a_purge_removes_the_configuration_and_names_the_ledger_that_stays(self, debian: Debian) -> None:
        said = debian("dpkg", "--purge", "emwatch").stdout

        assert "the ledger stays in /var/lib/emwatch" in said
        assert (debian.root / LEDGER.lstrip("/")).is_file()
        assert not (debian.root / "etc/emwatch").exists()
        assert list((debian.root / "etc/systemd/system").rglob("emwatch*")) == []

    def test_without_a_ledger_nothing_stays(self, debian: Debian) -> None:
        debian("dpkg", "--install", "/packages/2.deb")
        shutil.rmtree(debian.root / "var/lib/emwatch")
        debian("dpkg", "--purge", "emwatch")

        assert debian("getent", "passwd", "emwatch", check=False).returncode == 2
        names = debian("find", "/", "-xdev", "-name", "*emwatch*", *_not_below("/tmp", "/packages")).stdout
        assert names == ""
