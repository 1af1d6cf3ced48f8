"""The queue of `emwatch review` on a real pseudo terminal of 80x24."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

fcntl, pty, termios = (
    pytest.importorskip(each, reason="needs a pseudo terminal") for each in ("fcntl", "pty", "termios")
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

CONFIGURATION = """\
watch: {directory: frames}
ledger: {path: ledger.sqlite3}
model: {engine: stub}
targets:
  - {name: large, min_probability: 0, magnification: {min: 20000}, alerts: []}
"""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs emwatch on a pseudo terminal, and keeps what it wrote since the last key."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [sys.executable, "-m", "emwatch", "review", *arguments, "--config", "lab.yaml"]
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.shown = ""

    def wait_for(self, words: str) -> str:
        until = time.monotonic() + 40
        while words not in ESCAPES.sub("", self.shown):
            assert time.monotonic() < until, ESCAPES.sub("", self.shown)[-500:]
            if select.select([self.master], [], [], 0.5)[0]:
                try:
                    self.shown += os.read(self.master, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        assert words in ESCAPES.sub("", self.shown), self.shown[-500:]
        return self.shown

    def press(self, key: str) -> None:
        self.shown = ""
        os.write(self.master, key.encode())

    def end(self) -> int:
        self.wait_for("left")
        return self.process.wait(30)


@pytest.fixture(name="recorded", scope="module")
def _recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Record six frames, once for all tests, one of a name that a terminal would obey."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "lab.yaml").write_text(CONFIGURATION, encoding="utf-8")
    own = ("EMWATCH_", "XDG_", "KITTY", "COLUMNS", "COLORTERM", "TERM_PROGRAM", "TMUX", "STY")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment |= {"HOME": os.fspath(folder), "TERM": "xterm-256color"}
    drawn = ("simulate", "--out", "frames", "--frames", "6", "--rate", "0", "--seed", "3")
    said(folder, environment, *drawn, config=False)
    (folder / "frames" / "frame_0003.tif").rename(folder / "frames" / "a\x1b]0;title.tif")
    said(folder, environment, "run", "--once")
    return folder, environment


@pytest.fixture(name="lab")
def _lab(recorded: tuple[Path, dict[str, str]], tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Return a copy of its own of the ledger, which names the frames where they are."""
    for name in ("lab.yaml", "ledger.sqlite3"):
        shutil.copy(recorded[0] / name, tmp_path)
    return tmp_path, recorded[1]


def said(folder: Path, environment: dict[str, str], *arguments: str, config: bool = True, expect: int = 0) -> str:
    command = [sys.executable, "-m", "emwatch", *arguments, *(("--config", "lab.yaml") if config else ())]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == expect, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(name="terminal")
def _terminal(lab: tuple[Path, dict[str, str]]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str, **variables: str) -> Terminal:
        opened.append(Terminal(lab[0], lab[1] | variables, *arguments))
        return opened[-1]

    yield start
    for each in opened:
        each.process.kill()
        each.process.wait(30)
        os.close(each.master)


def reviews(lab: tuple[Path, dict[str, str]]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "emwatch", "review", "--list", "--json", "--config", "lab.yaml"]
    done = subprocess.run(command, cwd=lab[0], env=lab[1], capture_output=True, check=False, timeout=120)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_frames_are_answered_with_one_key_each_and_undone(
    lab: tuple[Path, dict[str, str]], terminal: Callable[..., Terminal]
) -> None:
    screen = terminal()
    first = screen.wait_for("q quit")
    assert "1 of 6" in first
    assert "▀" in first
    lines = ESCAPES.sub("", re.sub(r"\x1b\[(2J|\d+;1H)", "\n", first)).splitlines()
    assert max(map(len, lines)) <= 80
    screen.press("5")
    screen.wait_for("2 of 6")
    screen.press("z")
    screen.wait_for("1 of 6")
    screen.press("r")
    screen.wait_for("2 of 6")
    screen.press("c")
    screen.wait_for("3 of 6")
    screen.press(" ")
    screen.wait_for("4 of 6")
    screen.press("x")
    screen.wait_for("'x' is no answer")
    screen.press("q")
    assert "2 frames reviewed, 3 left" in screen.wait_for("left")
    assert screen.end() == 0

    assert sorted(each["verdict"] for each in reviews(lab)) == ["confirm", "reject"]
    again = terminal()
    again.wait_for("1 of 4")


def test_hits_come_first(lab: tuple[Path, dict[str, str]], terminal: Callable[..., Terminal]) -> None:
    hits = json.loads(said(*lab, "log", "--hits", "--json"))
    assert 0 < len(hits) < 6
    screen, seen = terminal(), ""
    for _ in hits:
        seen += screen.wait_for("hit: large")
        screen.press(" ")
    for at in range(len(hits) + 1, 7):
        seen += (shown := screen.wait_for(f"{at} of 6"))
        assert "hit:" not in shown
        screen.press(" ")
    assert "a\\x1b]0;title.tif" in seen
    assert "\x1b]0" not in seen, "a name must not reach the terminal as a command"


def test_many_are_confirmed_by_a_filter_after_the_number_was_said(
    lab: tuple[Path, dict[str, str]], terminal: Callable[..., Terminal]
) -> None:
    assert "say --yes" in said(*lab, "review", "--confirm", "--session", "last", expect=2)
    screen = terminal("--confirm", "--session", "last")
    screen.wait_for("confirm 6 frames: ")
    screen.press("n\n")
    assert screen.process.wait(30) == 1
    assert reviews(lab) == []

    said(*lab, "review", "1", "--reject")
    said(*lab, "review", "--confirm", "--session", "last", "--yes")

    assert sorted(each["verdict"] for each in reviews(lab)) == ["confirm"] * 5 + ["reject"]
    assert "no frame is left" in said(*lab, "review", "--confirm", "--session", "last", expect=3)


@pytest.mark.parametrize(
    ("variables", "begin"),
    [({"KITTY_WINDOW_ID": "1"}, "\x1b_Ga=T,f=100"), ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]1337;File=")],
)
def test_terminals_that_can_are_sent_the_picture(
    variables: dict[str, str], begin: str, terminal: Callable[..., Terminal]
) -> None:
    shown = terminal(**variables).wait_for("q quit")
    assert begin in shown
    assert "▀" not in shown


def test_a_terminal_that_says_it_can_is_sent_sixels(terminal: Callable[..., Terminal]) -> None:
    screen = terminal()
    until = time.monotonic() + 40
    while "\x1b[c" not in screen.shown and time.monotonic() < until:
        screen.shown += os.read(screen.master, 4096).decode("utf-8", "replace")
    screen.press("\x1b[?62;4;22c")
    assert '\x1bPq"1;1;' in screen.wait_for("q quit")


@pytest.mark.parametrize("left", [0, 1])
def test_what_somebody_else_reviews_meanwhile_is_not_asked_for_again(
    lab: tuple[Path, dict[str, str]], terminal: Callable[..., Terminal], left: int
) -> None:
    shown = terminal()
    first = re.search(r"frame ([0-9]+)", ESCAPES.sub("", shown.wait_for("1 of 6")))
    assert first is not None
    others = [str(number) for number in range(1, 7) if number != int(first[1])]
    said(*lab, "review", *others[left:], "--reject")

    shown.press("u")
    if left:
        assert f"frame {others[0]} " in shown.wait_for(" of 6")
        shown.press("u")
    assert shown.end() == 0
    found = {str(each["frame_id"]): each["verdict"] for each in reviews(lab)}
    assert found == dict.fromkeys(others[left:], "reject") | dict.fromkeys([first[1], *others[:left]], "unsure")
