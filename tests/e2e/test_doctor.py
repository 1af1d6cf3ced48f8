"""`emwatch doctor --json` as a command, each fault injected into the machine it sees: by mounts in a namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.ledger.care.backups import make_backup
from emwatch.simulate.microscope import Microscope

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

#: Fault: what is done to the machine before the doctor looks ($1 is the test's folder), further configuration; then check,
#: level, and words of what is found and of what mends it.
FAULTS = {
    "watch limit": (
        "mkdir -p $1/frames/a/b; echo 1 > $1/one; mount --bind $1/one /proc/sys/fs/inotify/max_user_watches",
        "watch: {mode: events}",
        ("watch.limit", "error", "max_user_watches is 1,", "sysctl"),
    ),
    "network mount": (
        (
            "{ cat /proc/$$/mountinfo; echo 9999 1 0:99 / $1/frames rw - cifs //sem-pc/images rw; } > $1/mounts;"
            " mount --bind $1/mounts /proc/$$/mountinfo"
        ),
        "watch: {mode: events}",
        ("watch.mode", "error", "cifs", "mode: auto"),
    ),
    "read-only state directory": (
        "mount -t tmpfs -o ro tmpfs $1/state",
        "",
        ("ledger.permission", "error", "Read-only file system", "remount,rw"),
    ),
    "missing processor feature": (
        "sed 's/ sse4_2//; s/ popcnt//' /proc/cpuinfo > $1/cpuinfo; mount --bind $1/cpuinfo /proc/cpuinfo",
        "",
        ("processor", "error", "sse4_2", "-cpu host"),
    ),
    "dead channel": (
        "",
        "alerts: {horn: {kind: command, argv: [/no/horn]}}",
        ("alerts.horn", "error", "/no/horn", "alerts.horn.argv"),
    ),
    "full disk": (
        "mount -t tmpfs -o size=8m tmpfs $1/state",
        "",
        ("disk.ledger", "error", "8", "emwatch db prune"),
    ),
    "wrong clock": ("", "", ("clock.instrument", "warning", "ahead of", "set-ntp")),
    "old backup": ("", "", ("backup", "warning", "days old", "emwatch db backup")),
}


def emwatch(folder: Path, *arguments: str, prepare: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emwatch", *arguments, "--config", os.fspath(folder / "lab.yaml")]
    if prepare:
        command = [
            "unshare",
            "--mount",
            "sh",
            "-euc",
            f'{prepare}; shift; exec "$@"',
            "sh",
            os.fspath(folder),
            *command,
        ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EMWATCH_")}
    return subprocess.run(
        command, env=environment | {"HOME": os.fspath(folder)}, capture_output=True, text=True, check=False
    )


def configure(folder: Path, more: str = "") -> None:
    for name in ("frames", "state"):
        (folder / name).mkdir()
    ours = f"ledger: {{path: {folder}/state/ledger.sqlite3}}\nmodel: {{engine: stub}}\n"
    watch = more if more.startswith("watch") else f"watch: {{}}\n{more}"
    watch = watch.replace("watch: {", f"watch: {{directory: {folder}/frames, ", 1)
    (folder / "lab.yaml").write_text(f"{ours}{watch}\n", "utf-8")


def record(folder: Path, *, ahead: timedelta = timedelta()) -> None:
    """Record ten frames whose files are so much ahead of this PC's clock."""
    list(Microscope(folder / "frames", 10, rate=0, seed=1).run())
    stamp = time.time() + ahead.total_seconds()
    for file in (folder / "frames").iterdir():
        os.utime(file, (stamp, stamp))
    assert emwatch(folder, "run", "--once").returncode == 0


def findings(folder: Path, prepare: str = "") -> list[dict[str, Any]]:
    said = emwatch(folder, "doctor", "--json", prepare=prepare)
    document = json.loads(said.stdout)
    assert (said.returncode == 0) == document["healthy"], said.stderr
    return list(document["findings"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_remedy(fault: str, tmp_path: Path) -> None:
    prepare, more, (check, level, found, mend) = FAULTS[fault]
    if prepare and (os.geteuid() != 0 or shutil.which("unshare") is None):
        pytest.skip("needs root and unshare, to mount")
    if fault == "missing processor feature" and os.uname().machine != "x86_64":
        pytest.skip("needs a processor of that kind")
    configure(tmp_path, more)
    ledger = tmp_path / "state" / "ledger.sqlite3"
    if fault == "wrong clock":
        record(tmp_path, ahead=timedelta(minutes=40))
    if fault == "old backup":
        record(tmp_path)
        make_backup(ledger, ledger.parent / "backups", datetime.now(UTC) - timedelta(days=5))

    [finding] = findings(tmp_path, prepare)

    assert (finding["check"], finding["level"]) == (check, level)
    assert found in finding["found"]
    assert mend in finding["mend"]
    assert finding["expected"]


def test_on_a_healthy_machine_nothing_is_found(tmp_path: Path) -> None:
    configure(tmp_path, "alerts: {horn: {kind: command, argv: [/bin/true]}}")
    record(tmp_path)
    make_backup(tmp_path / "state/ledger.sqlite3", tmp_path / "state/backups", datetime.now(UTC) - timedelta(hours=2))

    assert findings(tmp_path) == []
