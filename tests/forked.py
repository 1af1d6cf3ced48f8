"""
The program in a fork of a process that has imported it: all that ``python -m emwatch`` does but the second of imports.

Each run is a process of its own, with its own environment, output and exit code.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What commands import once they run.
_IMPORTED_LATER = (
    "ai_edge_litert.interpreter",
    "PIL.Image",
    "emwatch.classify.classifier",
    "emwatch.config",
    "emwatch.ledger.query",
    "emwatch.ledger.writer",
    "emwatch.service.daemon",
)


def _of_python(environ: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables that are meant for Python itself."""
    known = os.environ if environ is None else environ
    return {name: value for name, value in known.items() if name.startswith("PYTHON")}


_AT_START = _of_python(None)


class ForkServer:
    """Runs the program as often as asked; starts its process at the first time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: Sequence[str | Path], environ: Mapping[str, str] | None = None, script: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """
        Run ``emwatch`` in the present directory, with nothing on its standard input.

        ``script``: run this instead, as ``python -c`` does.
        """
        words = list(map(os.fspath, arguments))
        if _of_python(environ) != _AT_START:  # what they say to Python comes too late in a fork
            program = ["-c", script] if script else ["-m", "emwatch"]
            return subprocess.run(
                [sys.executable, *program, *words],
                env=None if environ is None else dict(environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=110,
                check=False,
            )
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            code = self._ask(
                {
                    "script": script,
                    "arguments": words,
                    "environ": dict(os.environ if environ is None else environ),
                    "directory": str(Path.cwd()),
                    "files": [str(out), str(err)],
                }
            )
            return subprocess.CompletedProcess(
                ["emwatch", *words], code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
            )

    def close(self) -> None:
        """End the process. It may be asked again."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _ask(self, request: dict[str, Any]) -> int:
        server = self._process = self._process or _start()
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            return int(server.stdout.readline())
        except BaseException:  # the test's time is over, or the server has ended: what hangs goes with it
            os.killpg(server.pid, signal.SIGKILL)
            self.close()
            raise


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from tests.forked import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )


def serve() -> None:
    """Run what each line of standard input asks for, and answer with its exit code."""
    from emwatch.cli.main import COMMANDS

    for module in (*_IMPORTED_LATER, *(entry.module for entry in COMMANDS.values())):
        importlib.import_module(module)
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        with warnings.catch_warnings(action="ignore"):  # numpy has threads; they have nothing to do
            pid = os.fork()
        if pid == 0:
            _be_the_program(**json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _be_the_program(
    script: str, arguments: list[str], environ: dict[str, str], directory: str, files: list[str]
) -> NoReturn:
    from emwatch.cli.main import main

    ends = [os.open(os.devnull, os.O_RDONLY)]
    ends += [os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for file in files]
    for number, end in enumerate(ends):
        os.dup2(end, number)
        os.close(end)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(directory)
    sys.argv = ["emwatch", *arguments]
    if script:
        exec(script, {"__name__": "__main__"})
    else:
        main()
    raise SystemExit
