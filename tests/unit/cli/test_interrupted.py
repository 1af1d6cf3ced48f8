"""Ctrl-C, whenever it comes: no traceback, and the exit code of what was interrupted."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Runs emwatch, and interrupts it at the moment at which a module is looked for.
PROGRAM = """
import os, signal, sys
sys.argv[0] = "emwatch"
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from emwatch.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "module", ["click", "emwatch.cli.lazy", "emwatch.cli.commands.log", "pydantic", "emwatch.ledger.query"]
)
def test_ctrl_c_while_a_module_is_imported_ends_quietly(tmp_path: Path, module: str) -> None:
    ended = _run(PROGRAM.format(module=module), "log", "--ledger", str(tmp_path / "none.sqlite3"))

    assert ended.returncode == 130
    assert ended.stderr in {"", "interrupted\n"}


def test_ctrl_c_while_python_ends_is_quiet(tmp_path: Path) -> None:
    at_the_end = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    ended = _run(at_the_end + PROGRAM.format(module=""), "log", "--ledger", str(tmp_path / "none.sqlite3"))

    assert ended.returncode == 130
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr


def test_ctrl_c_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As below `nohup`, and for what a script starts in the background."""
    ignore = f"import signal; signal.signal({signal.SIGINT:d}, signal.SIG_IGN)\n"
    ended = _run(ignore + PROGRAM.format(module="click"), "log", "--ledger", str(tmp_path / "none.sqlite3"))

    assert ended.returncode == 1
    assert "no ledger here yet" in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_at_a_question_is_an_interruption_like_any_other(tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "emwatch", "init", "--out", tmp_path / "lab.yaml"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as process, _killed_at_the_end(process):
        os.close(slave)
        said = b""
        with suppress(OSError):  # it has ended
            while b"samples: " not in said:
                said += os.read(master, 65536)
            # Python misses one that comes between the question and the wait for its answer: nobody presses so early.
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                while select.select([master], [], [], 0.5)[0]:
                    said += os.read(master, 65536)
        process.wait(30)
    os.close(master)

    assert process.returncode == 130
    assert said.endswith(b"\r\ninterrupted\r\n")
    assert not (tmp_path / "lab.yaml").exists()


@contextmanager
def _killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A test that fails, or takes too long, must not wait for a process that nobody ends."""
    try:
        yield
    finally:
        process.kill()


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
