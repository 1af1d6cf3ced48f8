"""The rig of the fault tests: a real daemon that can be started, killed and stopped, and its ledger read from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import frames
import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from conftest import Program

#: Fault tests at full size (`.ci/run --full`); by default a size that keeps all of them within some minutes.
FULL = bool(os.environ.get("EMWATCH_FULL_FAULTS"))

#: A match raises an alert on a channel that appends its key to a file; every tenth frame is a match.
TARGETS = """\
targets:
  - {name: wanted, category: Nanowires, alerts: [phone]}
alerts:
  phone: {kind: command, argv: ["%s"]}
"""


def sized(reduced: int, full: int) -> int:
    """The size of a test, by default and at full size."""
    return full if FULL else reduced


def needs_root(why: str) -> None:
    if os.geteuid() != 0:
        pytest.skip(f"needs root: {why}")


class Daemon:
    """``emwatch run`` under test: what it says is kept, and never fills a pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.began = time.monotonic()
        self.ready_s: float | None = None
        self.said: list[str] = []
        self._ready = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))
            if self.ready_s is None and "ready;" in line:
                self.ready_s = time.monotonic() - self.began
                self._ready.set()
        self._ready.set()

    def wait_until_ready(self, timeout_s: float = 60) -> Daemon:
        self._ready.wait(timeout_s)
        assert self.ready_s is not None, f"not ready after {timeout_s} s:\n" + "\n".join(self.said[-20:])
        return self

    def heard(self, words: str) -> list[str]:
        """The lines it said that hold some words."""
        return [line for line in list(self.said) if words in line]

    def kill(self) -> None:
        """End it as a power cut would, and take it off the list of processes."""
        self._close()

    def stop(self, timeout_s: float = 30) -> int:
        """Ask it to end, and return its exit code."""
        self.stats.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout_s)
        finally:
            self._close()
        return self.process.returncode

    def _close(self) -> None:
        # The whole group: a program that wraps the daemon may end before it. Its readers end with it by themselves.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._listener.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def stats(self) -> psutil.Process:
        """The daemon itself, also where another program runs it."""
        process = psutil.Process(self.process.pid)
        while "emwatch" not in process.cmdline()[:5]:
            [process] = process.children()
        return process

    def children_named(self, module: str) -> list[psutil.Process]:
        """Its child processes that run a module."""
        return [each for each in self.stats.children() if module in each.cmdline()]


@dataclass
class Rig:
    """A program with a configuration for fault tests, its watched directory, and what became of the frames."""

    program: Program
    _daemons: list[Daemon] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.program.home

    @property
    def watched(self) -> Path:
        return self.program.watched

    @property
    def ledger(self) -> Path:
        return self.program.ledger

    @property
    def config(self) -> Path:
        return self.home / "config.yaml"

    @property
    def told(self) -> Path:
        """Where the channel writes the key of each alert it delivers."""
        return self.home / "told"

    @property
    def announced(self) -> Path:
        """Where the channel writes what it is told that is no frame: trouble that an operator should know of."""
        return self.home / "announced"

    def configure(self, more: str = "", *, watch: str = "", engine: str = "stub", ledger: str = "{}") -> None:
        """Write the configuration: the stub engine, one target, one channel, and what the test wants different."""
        self.told.touch()
        teller = self.home / "tell.sh"
        teller.write_text(
            f'#!/bin/sh\nif [ "$EMWATCH_ALERT_TARGET" = emwatch ]; then echo "$EMWATCH_ALERT_REASON" >> {self.announced}\n'
            f'else printf "%s\\n" "$EMWATCH_ALERT_KEY" >> {self.told}; fi\n',
            encoding="utf-8",
        )
        teller.chmod(0o755)
        watch = ", ".join(["data_bar: never", *([watch] if watch else [])])
        text = f"model: {{engine: {engine}}}\nwatch: {{{watch}}}\nledger: {ledger}\n" + TARGETS % teller
        self.config.write_text(text + textwrap.dedent(more), encoding="utf-8")

    def start(self, *arguments: str, wrapped: Sequence[str] = (), **environ: str) -> Daemon:
        """Start the daemon; ``wrapped``: the program that runs it, such as strace."""
        if not self.config.exists():
            self.configure()
        command = [sys.executable, "-m", "emwatch", "run", "--config", os.fspath(self.config), "--plain", *arguments]
        with (self.home / "stdout").open("ab") as output:
            process = subprocess.Popen(
                [*wrapped, *command],
                env=self.program.environ | environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        daemon = Daemon(process)
        self._daemons.append(daemon)
        return daemon

    @contextmanager
    def running(self, *arguments: str, wrapped: Sequence[str] = (), **environ: str) -> Iterator[Daemon]:
        """A daemon from ready to a clean end, with no alert left to be told."""
        daemon = self.start(*arguments, wrapped=wrapped, **environ).wait_until_ready()
        yield daemon
        self.wait_for(self.all_alerts_told)
        assert daemon.stop() == 0, "\n".join(daemon.said[-20:])

    def once(self, *arguments: str, wrapped: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Let it deal with what is there, and end."""
        words = ["run", "--once", "--config", os.fspath(self.config), *arguments]
        if not wrapped:
            return self.program.forks.run(words, self.program.environ)
        return subprocess.run(
            [*wrapped, sys.executable, "-m", "emwatch", *words],
            env=self.program.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def forget_ledger(self) -> None:
        """Begin anew: no ledger, no alert told."""
        shutil.rmtree(self.ledger.parent, ignore_errors=True)
        self.told.write_text("", encoding="utf-8")

    @contextmanager
    def writer(
        self, number: int, rate: float, modes: Sequence[str] = ("plain",), *, first: int = 0
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A pretend acquisition PC that writes beside the test; see `frames.acquire`."""
        command = [sys.executable, frames.__file__, self.watched, self.manifest, number, rate, ",".join(modes), first]
        process = subprocess.Popen(
            [str(each) for each in command], env=self.program.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        )
        try:
            yield process
            assert process.wait(600) == 0
        finally:
            process.kill()
            process.wait()

    @property
    def manifest(self) -> Path:
        return self.home / "manifest.ndjson"

    def truth(self) -> list[dict[str, str]]:
        """What the writer wrote."""
        return [json.loads(line) for line in self.manifest.read_text(encoding="utf-8").splitlines()]

    def close(self) -> None:
        for daemon in self._daemons:
            if daemon.alive:
                daemon.kill()

    # -- the ledger, from outside -------------------------------------------------------------------------------

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the ledger, read-only; nothing where it has no tables yet."""
        if not self.ledger.exists():
            return []
        try:
            with closing(sqlite3.connect(f"{self.ledger.as_uri()}?mode=ro", uri=True, timeout=10)) as ledger:
                return ledger.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise

    def count(self, where: str = "state = 'recorded'", *values: object) -> int:
        found = self.query(f"SELECT count(*) FROM frames WHERE {where}", *values)
        return int(found[0][0]) if found else 0

    def rows(self, state: str = "recorded") -> list[tuple[str, str]]:
        """Path and sha256 of every row of a state, superseded ones included."""
        return self.query("SELECT path, sha256 FROM frames WHERE state = ? ORDER BY id", state)

    def wait_for_count(self, number: int, where: str = "state = 'recorded'", *, timeout_s: float = 120) -> float:
        """Wait until so many rows are there; returns the seconds it took."""
        return self.wait_for(lambda: self.count(where) >= number, timeout_s, lambda: f"{self.count(where)} of {number}")

    def wait_for(self, done: Callable[[], bool], timeout_s: float = 60, why: Callable[[], str] = lambda: "") -> float:
        began = time.monotonic()
        while not done():
            daemon = self._daemons[-1]
            waited = time.monotonic() - began
            assert waited < timeout_s, f"{why()} after {waited:.0f} s\n" + "\n".join(daemon.said[-20:])
            time.sleep(0.1)
        return time.monotonic() - began

    def all_alerts_told(self) -> bool:
        return self.query("SELECT count(*) FROM alerts WHERE state = 'pending'") in ([(0,)], [])

    def wait_for_status(self, told: Callable[[dict[str, Any]], Any]) -> Any:
        """Wait until what the daemon tells of itself holds something, and give it."""
        file = self.ledger.with_name(f"{self.ledger.name}.status.json")
        self.wait_for(lambda: bool(told(json.loads(file.read_text(encoding="utf-8")))), 30)
        return told(json.loads(file.read_text(encoding="utf-8")))

    def assert_complete(self, truth: Mapping[str, str], *, alerts: Sequence[str] = ()) -> int:
        """
        One row per frame with its final bytes, none twice; ``alerts``: paths that must have exactly one, delivered.

        Returns how many deliveries were repeated.
        """
        rows = self.rows()
        assert len(rows) == len(set(rows)) == len({path for path, _ in rows}), "a frame is there twice"
        assert dict(rows) == dict(truth)
        self.assert_sound()
        told = self.told.read_text(encoding="utf-8").split()
        outbox = self.query(
            "SELECT a.key, f.path FROM alerts AS a JOIN frames AS f ON f.id = a.frame_id WHERE a.state = 'delivered'"
        )
        assert sorted(path for _, path in outbox) == sorted(alerts)
        assert self.query("SELECT count(*) FROM alerts WHERE state <> 'delivered'") in ([(0,)], [])
        assert set(told) == {key for key, _ in outbox}, "a delivery that the ledger does not know, or one it made up"
        return len(told) - len(set(told))

    def assert_sound(self) -> None:
        assert self.query("PRAGMA integrity_check") == [("ok",)]
        assert self.query("PRAGMA foreign_key_check") == []


@contextmanager
def kernel_setting(name: str, value: int) -> Iterator[None]:
    """A sysctl changed for a while and put back; the test is skipped where it cannot be."""
    setting = Path("/proc/sys") / name.replace(".", "/")
    needs_root(f"to change {name}")
    try:
        before = setting.read_text(encoding="ascii")
        setting.write_text(str(value), encoding="ascii")
    except OSError as error:
        pytest.skip(f"{name} cannot be changed here: {error}")
    try:
        yield
    finally:
        setting.write_text(before, encoding="ascii")


@contextmanager
def mounted(kind: str, source: str, target: Path, options: str = "") -> Iterator[Path]:
    """A mount for a while; the test is skipped where mounting is not allowed."""
    needs_root("to mount")
    target.mkdir(parents=True, exist_ok=True)
    command = [
        "mount",
        *(["-t", kind] if kind else []),
        *(["-o", options] if options else []),
        source,
        os.fspath(target),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        yield target
    finally:
        subprocess.run(["umount", "-l", os.fspath(target)], check=True)
