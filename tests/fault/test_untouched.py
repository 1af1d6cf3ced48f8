"""The acquisition directory is only ever read: shown by every system call that could change it, and by a read-only mount."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import frames
import pytest
from rig import mounted, sized

if TYPE_CHECKING:
    from pathlib import Path

    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

#: Every system call that changes a file, its name, its attributes or its locks.
_CHANGING = (
    "open,openat,openat2,creat,mknod,mknodat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,"
    "symlink,symlinkat,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utime,utimes,futimesat,utimensat,truncate,"
    "ftruncate,fallocate,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,flock"
)
_OPENED = re.compile(r"\b(open|openat|openat2)(\(| resumed>)")
_FOR_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE|O_APPEND")


def strace(trace: Path) -> list[str]:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    return ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-e", f"trace={_CHANGING}", "-s", "4096", "-o", str(trace)]


def changes_below(directory: Path, trace: Path) -> list[str]:
    """The calls of a trace that change, or could change, something below a directory."""
    found = []
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        if f"{directory}/" not in line and f"{directory}>" not in line and f'{directory}"' not in line:
            continue
        if not _OPENED.search(line) or _FOR_WRITING.search(line):
            found.append(line)
    return found


def test_the_trace_shows_every_kind_of_change(tmp_path: Path) -> None:
    watched, trace = tmp_path / "frames", tmp_path / "trace"
    watched.mkdir()
    script = (
        "import os, fcntl, shutil\np = os.sys.argv[1]\n"
        "open(p + '/a', 'w').close()\nos.chmod(p + '/a', 0o600)\nos.utime(p + '/a')\nos.link(p + '/a', p + '/b')\n"
        "os.rename(p + '/b', p + '/c')\nos.mkdir(p + '/d')\nf = open(p + '/a')\nfcntl.flock(f, fcntl.LOCK_SH)\n"
        "os.fchmod(f.fileno(), 0o600)\nos.symlink('a', p + '/s')\nos.setxattr(p + '/a', 'user.x', b'1')\n"
        "os.chdir(p)\nos.unlink(p + '/c')\n"
    )
    subprocess.run([*strace(trace), sys.executable, "-c", script, os.fspath(watched)], check=True)

    calls = {re.search(r"^\d+\s+(\w+)\(", line).group(1) for line in changes_below(watched, trace)}  # type: ignore[union-attr]

    seen = {
        "chmod",
        "link",
        "rename",
        "mkdir",
        "flock",
        "fchmod",
        "symlink",
        "setxattr",
        "unlink",
        "utimensat",
        "openat",
    }
    assert seen - calls == set()


def test_no_call_changes_anything_below_the_watched_directory(rig: Rig) -> None:
    number = sized(100, 200)
    trace = rig.home / "trace"
    rig.configure(watch="sweep_seconds: 1")
    frames.write(rig.watched, range(20))
    with rig.running(wrapped=strace(trace)), rig.writer(number - 20, 40, (*frames.MODES,), first=20):
        (rig.watched / "half.tif").write_bytes(frames.frame(1)[:2000])
        (rig.watched / "notes.txt").write_text("not a frame", encoding="utf-8")
        rig.wait_for_count(number)

    opened = [line for line in trace.read_text(errors="replace").splitlines() if f"{rig.watched}/frame_" in line]
    assert len(opened) >= number, "the trace does not hold the reading of the frames"
    assert changes_below(rig.watched, trace) == []
    print(f"{number} frames: {len(opened)} calls below the directory, none of them changes anything")


def test_frames_on_a_read_only_mount_are_recorded_as_they_come(rig: Rig) -> None:
    number = sized(100, 500)
    source = rig.home / "source"
    source.mkdir()
    truth = frames.write(source, range(number // 2))
    with mounted("", os.fspath(source), rig.watched, "bind"):
        subprocess.run(["mount", "-o", "remount,ro,bind", os.fspath(rig.watched)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (rig.watched / "probe").touch()
        with rig.running():
            truth |= frames.write(source, range(number // 2, number))
            waited = rig.wait_for_count(number)
    rig.assert_complete(
        {os.fspath(rig.watched / path.name): sha256 for path, sha256 in truth.items()},
        alerts=[os.fspath(rig.watched / f"frame_{number_:06d}.tif") for number_ in range(4, number, 10)],
    )
    print(f"{number} frames on a read-only mount, all recorded {waited:.1f} s after the last was written")
