"""The page as a child of the daemon: a real process, and a clock that the test moves."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from emwatch.config import Config
from emwatch.config.schema import WebConfig
from emwatch.service.page import PageProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVES = 'import pickle, sys; port = pickle.load(sys.stdin.buffer).web.port; print(\'{"address": "http://a:%d/", "trouble": ""}\' % port, flush=True); '
WAITS = SERVES + "sys.stdin.read()"
DEAF = SERVES + "import time; time.sleep(600)"
REFUSES = 'print(\'{"address": "", "trouble": "no token"}\')'
CRASHES = "import os; os._exit(3)"


class Rig:
    """A page whose child runs a script."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[str] = []
        self.noted: list[dict[str, Any]] = []
        self.pages: list[PageProcess] = []
        self._before = {each.pid for each in psutil.Process().children()}  # another test's program may still run

    def children(self) -> list[psutil.Process]:
        return [each for each in psutil.Process().children() if each.pid not in self._before]

    def page(self, script: str, web: WebConfig | None = None) -> PageProcess:
        made = PageProcess(
            Config(web=web or WebConfig(serve=True)),
            lambda event: self.told.append(event.text),
            self.noted.append,
            (sys.executable, "-c", script),
        )
        self.pages.append(made)
        return made

    def until(self, page: PageProcess, holds: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end, (self.told, self.noted)
            page.tick(self.now)


@pytest.fixture(name="rig")
def _rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    for each in rig.pages:
        each.stop()
    assert rig.children() == []


def test_nothing_is_served_unless_it_is_asked_for(rig: Rig) -> None:
    rig.page(WAITS, WebConfig()).tick(rig.now)

    assert rig.children() == []
    assert rig.noted == []


def test_the_address_is_told_and_noted(rig: Rig) -> None:
    page = rig.page(WAITS)
    rig.until(page, lambda: rig.noted)

    assert rig.noted == [{"address": "http://a:8754/", "trouble": ""}]
    assert rig.told == ["the page is at http://a:8754/"]


@pytest.mark.parametrize(("script", "why"), [(REFUSES, "no token"), (CRASHES, "its process ended with status 3")])
def test_one_that_ends_is_told_once_and_tried_again_after_growing_pauses(rig: Rig, script: str, why: str) -> None:
    page = rig.page(script)
    pauses = []
    for tries in range(1, 9):
        rig.until(page, lambda tries=tries: len(rig.noted) == tries)  # type: ignore[misc]
        ended_at = rig.now
        while not rig.children():
            rig.now += 0.5
            page.tick(rig.now)
        pauses.append(rig.now - ended_at)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert rig.told == [f"the page is not served: {why}; emwatch tries again"]
    assert rig.noted[-1] == {"address": "", "trouble": why}


def test_one_that_was_served_for_long_is_started_again_soon(rig: Rig) -> None:
    page = rig.page(WAITS)
    for _ in range(3):
        rig.until(page, lambda: rig.noted and rig.noted[-1]["address"])
        rig.now += 1000
        [child] = rig.children()
        child.kill()
        rig.until(page, lambda: rig.noted[-1]["trouble"])
        rig.now += 1

    assert len(rig.told) == 6


def test_a_page_that_does_not_listen_is_stopped_at_once(rig: Rig) -> None:
    page = rig.page(DEAF)
    rig.until(page, lambda: rig.noted)
    began = time.monotonic()
    page.stop()

    assert time.monotonic() - began < 2
    assert rig.children() == []
    assert rig.noted[-1] == {"address": "", "trouble": ""}


def test_the_process_says_why_it_cannot_serve_and_nothing_else() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "emwatch.web.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin is not None
    child.stdin.write(pickle.dumps(Config(web=WebConfig(serve=True, host="0.0.0.0"))))
    child.stdin.flush()  # and not closed: the daemon goes on
    status = child.wait(20)
    said, complaints = child.communicate()

    assert (status, complaints) == (1, b"")
    assert json.loads(said)["trouble"]


def test_another_configuration_is_served_from_then_on(rig: Rig) -> None:
    page = rig.page(WAITS)
    rig.until(page, lambda: rig.noted)
    [before] = rig.children()
    page.exchange(Config(web=WebConfig(serve=True)))
    assert rig.children() == [before], "nothing changed"

    page.exchange(Config(web=WebConfig(serve=True, port=1)))
    rig.until(page, lambda: rig.noted[-1]["address"])
    assert rig.noted[-1]["address"] == "http://a:1/"

    page.exchange(Config(web=WebConfig()))
    page.tick(rig.now)
    assert rig.children() == []
