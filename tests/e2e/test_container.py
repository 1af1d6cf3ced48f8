"""The container: built by buildah on a Debian made here, since no registry of images need be reachable; doctor, demo, daemon."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from emwatch.simulate.microscope import Microscope

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("buildah", "mmdebstrap")
BASE = "localhost/debian-base"

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


class Container:
    """A container of the image, with a folder of frames and a configuration as docs/install.md mounts them."""

    def __init__(self, buildah: list[str], place: Path) -> None:
        self.frames, self.configured = place / "srv", place / "etc"
        for folder in (self.frames, self.configured):
            folder.mkdir()
            folder.chmod(0o755)
        made = subprocess.run([*buildah, "from", "--pull=never", "emwatch"], capture_output=True, text=True, check=True)
        volumes = [f"--volume={self.frames}:/srv/sem:ro", f"--volume={self.configured}:/etc/emwatch:ro"]
        self.command = [*buildah, "run", "--isolation=chroot", "--terminal=false", *volumes, made.stdout.strip(), "--"]

    def __call__(self, *argv: str) -> str:
        ended = subprocess.run([*self.command, *argv], capture_output=True, text=True, timeout=200, check=False)
        assert ended.returncode == 0, f"{argv}: {ended.stdout}{ended.stderr}"
        return ended.stdout


@pytest.fixture(name="container", scope="module")
def _container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    missing = [each for each in TOOLS if shutil.which(each) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, {' and '.join(TOOLS)}; missing: {', '.join(missing) or 'root'}")
    place = tmp_path_factory.mktemp("container")
    buildah = ["buildah", "--root", f"{place}/images", "--runroot", f"{place}/run", "--storage-driver=vfs"]
    # Where the network has a certificate of its own, pip is told of it as docs/install.md says.
    (place / "pip.conf").write_text("[global]\ncert = /ca.crt\n", "utf-8")
    authorities = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    volumes = [f"--volume={authorities}:/ca.crt:ro", f"--volume={place}/pip.conf:/etc/pip.conf:ro"]
    build = ["bud", "--isolation=chroot", "--pull=never", f"--build-arg=BASE={BASE}", *volumes]
    try:
        _run("mmdebstrap", "--quiet", "--variant=minbase", "bookworm", f"{place}/base.tar")
        empty = _run(*buildah, "from", "scratch").strip()
        _run(*buildah, "add", empty, f"{place}/base.tar", "/")
        _run(*buildah, "commit", "--quiet", "--rm", empty, BASE)
        _run(*buildah, *build, "-f", f"{ROOT}/packaging/Containerfile", "-t", "emwatch", os.fspath(ROOT))
        yield Container(buildah, place)
    finally:
        shutil.rmtree(place)  # 2 GB


def _run(*argv: str) -> str:
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{argv}: {ended.stdout[-3000:]}{ended.stderr[-3000:]}"
    return ended.stdout


def test_it_holds_the_program_and_runs_it_without_rights(container: Container) -> None:
    assert container("emwatch", "--version").startswith("emwatch")
    assert container("id", "-un") == "emwatch\n"
    shown = container("emwatch", "demo", "--frames", "3", "--rate", "5")
    assert all(f"frame_000{number}.tif" in shown for number in (1, 2, 3))


def test_it_makes_its_configuration_and_the_doctor_finds_it_healthy(container: Container) -> None:
    list(Microscope(container.frames, 2, rate=0, seed=1).run())

    made = container("emwatch", "init", "/srv/sem", "--category", "Nanowires", "--out", "-")
    (container.configured / "config.yaml").write_text(made, "utf-8")

    container("emwatch", "doctor")


def test_its_daemon_records_what_comes_and_stops_cleanly(container: Container) -> None:
    command = [*container.command, "emwatch", "run", "--plain"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert "frame_0001" in process.stdout.readline()
            list(Microscope(container.frames, 1, rate=0, seed=3, first_number=3).run())
            until = time.monotonic() + 60
            while int(container("emwatch", "log", "--count")) < 3:
                assert time.monotonic() < until
            around = psutil.Process(process.pid).children(recursive=True)
            next(filter(_is_daemon, around)).send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def _is_daemon(process: psutil.Process) -> bool:
    return process.cmdline()[:3] == ["/opt/emwatch/bin/python3", "/opt/emwatch/bin/emwatch", "run"]
