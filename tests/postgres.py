"""A private PostgreSQL for tests: a cluster in a folder of its own, started, killed and stopped by them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Self

_DEBIAN = Path("/usr/lib/postgresql")


def _programs() -> Path | None:
    """Where PostgreSQL's own programs are: Debian keeps them out of PATH."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


class Postgres:
    """
    A cluster on a port of the loopback; use it as a context manager.

    PostgreSQL refuses to run as root: then the user ``postgres`` of the package runs it.
    """

    PASSWORD = "a word that nobody else knows"
    #: Off, a power cut would cost what is committed, and a kill does not.
    FSYNC = "off"

    def __init__(self) -> None:
        programs = _programs()
        if programs is None:
            pytest.skip("needs PostgreSQL's server (Debian: apt install postgresql)")
        if find_spec("psycopg") is None:
            pytest.skip("needs psycopg (pip install 'emwatch[postgres]')")
        self._programs = programs
        self._user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="emwatch-postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._server: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        if self._user:
            shutil.chown(self.folder, self._user)
        secret = self.folder / "password"
        secret.write_text(self.PASSWORD, encoding="utf-8")
        if self._user:
            shutil.chown(secret, self._user)
        self._run("initdb", "-D", "data", "-U", "owner", "--pwfile=password", "-A", "scram-sha-256", "-N", "-E", "UTF8")
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], cwd=self.folder, user=self._user, check=True, capture_output=True
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": self.FSYNC,
            "log_min_messages": "fatal",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", "data", *options],
                cwd=self.folder,
                user=self._user,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.is_there():
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text(encoding="utf-8"))

    def is_there(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._words("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop it as its service does, at once for who is connected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a power cut would, every process of it."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._server is None:
            return
        # Those that serve a connection lead groups of their own.
        children = subprocess.run(["pgrep", "-P", str(self._server.pid)], capture_output=True, text=True, check=False)
        self._server.send_signal(how)
        if how is signal.SIGKILL:
            for each in children.stdout.split():
                try:
                    os.kill(int(each), how)
                except ProcessLookupError:
                    continue
        self._server.wait(60)
        self._server = None

    def _words(self, database: str) -> str:
        return (
            f"host=127.0.0.1 port={self.port} user=owner password='{self.PASSWORD}' dbname={database} connect_timeout=5"
        )

    def database(self) -> str:
        """A database of its own: its URL, without the password."""
        import psycopg

        name = f"emwatch_{next(self._numbers)}"
        with psycopg.connect(self._words("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://owner@127.0.0.1:{self.port}/{name}"

    def query(self, url: str, statement: str) -> list[tuple[object, ...]]:
        """Ask a database directly."""
        import psycopg

        with psycopg.connect(self._words(url.rpartition("/")[2]), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
