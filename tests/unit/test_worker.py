"""Threads of the daemon: what ends one by a fault, what starts it again, and what does not."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from emwatch.worker import Worker

if TYPE_CHECKING:
    import pytest


def test_a_thread_that_ended_by_a_fault_is_logged_and_started_again_and_one_that_finished_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = [ZeroDivisionError("by nothing")]

    def work() -> None:
        if faults:
            raise faults.pop()

    worker = Worker("counting", work)
    assert not worker.revive(0.0), "never started"
    worker.start()
    assert worker.join(10)

    assert worker.revive(0.0)
    assert worker.join(10)
    assert not worker.revive(1000.0)
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (logging.ERROR, "counting: ended by a fault of emwatch")
    ]
    assert "by nothing" in caplog.text


def test_a_thread_that_fails_at_once_each_time_waits_longer_each_time() -> None:
    worker = Worker("failing", [].pop)
    worker.start()
    revived = []
    for tenth in range(3000):
        assert worker.join(10)
        if worker.revive(tenth / 10):
            revived.append(tenth / 10)

    assert revived == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0, 243.0]


def test_stopping_wakes_the_thread_and_nothing_starts_it_again() -> None:
    asked = threading.Event()

    def work() -> None:
        while not worker.stopping.is_set():
            asked.wait()

    worker = Worker("waiting", work, wake=asked.set)
    worker.start()
    assert worker.is_alive
    assert not worker.join(0.01)

    assert worker.stop(10)
    assert not worker.revive(1000.0)


def test_a_thread_that_hangs_is_told_by_stop() -> None:
    gate = threading.Event()
    worker = Worker("hanging", gate.wait)
    worker.start()

    assert not worker.stop(0.01)
    gate.set()
    assert worker.join(10)


def test_where_the_system_has_no_thread_left_it_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran = threading.Event()
    worker = Worker("late", ran.set)
    with monkeypatch.context() as full:

        def start(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        full.setattr(threading.Thread, "start", start)
        assert not worker.start()
        assert not worker.revive(0.0)
        assert not worker.revive(0.5)

    assert worker.revive(1.0)
    assert ran.wait(10)
    assert "can't start new thread" in caplog.text
