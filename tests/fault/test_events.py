"""Events that are lost, not granted, or die: they cost latency, never a frame."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import frames
import pytest
from rig import kernel_setting, mounted, needs_root, sized

if TYPE_CHECKING:
    from pathlib import Path

    from rig import Rig

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


def status(rig: Rig) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(rig.program("status", "--config", rig.config, "--json").stdout)
    return document


def as_text(truth: dict[Path, str]) -> dict[str, str]:
    return {os.fspath(path): sha256 for path, sha256 in truth.items()}


def wanted(truth: dict[Path, str]) -> list[str]:
    return [os.fspath(path) for path in truth if int(path.stem[-6:]) % len(frames.CATEGORIES) == 4]


def test_a_queue_of_16_events_and_a_flood_of_files_lose_no_frame(rig: Rig) -> None:
    number = sized(2000, 20_000)
    rig.configure(watch="sweep_seconds: 3600")  # only the overflow itself may bring the sweep
    with kernel_setting("fs.inotify.max_queued_events", 16):
        daemon = rig.start().wait_until_ready()
    began = time.monotonic()
    truth = frames.write(rig.watched, range(number))
    wrote_s = time.monotonic() - began
    rig.wait_for_count(number, timeout_s=400)
    took_s = time.monotonic() - began
    rig.wait_for(rig.all_alerts_told)
    overflows = rig.wait_for_status(lambda told: told["since_start"]["overflows"])
    assert daemon.stop() == 0
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    print(f"{number} files in {wrote_s:.1f} s: {overflows} overflows, all recorded after {took_s:.1f} s")
    assert overflows >= 1
    assert len(daemon.heard("single events were lost")) <= overflows


def test_a_watch_limit_of_10_and_200_folders_lose_no_frame_and_say_so_once(rig: Rig) -> None:
    folders = sized(60, 200)
    for folder in range(folders):
        (rig.watched / f"day_{folder:03d}").mkdir()
    # The limit of a user namespace of its own: nobody else on this machine notices.
    limited = ["unshare", "-Ur", "sh", "-c", 'echo 10 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]
    if subprocess.run([*limited, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs user namespaces with limits of their own")
    truth: dict[Path, str] = {}
    with rig.running(wrapped=limited) as daemon:
        rig.wait_for(lambda: bool(daemon.heard("max_user_watches")), 40)
        began = time.monotonic()
        for folder in range(folders):
            truth |= frames.write(rig.watched / f"day_{folder:03d}", range(folder * 5, folder * 5 + 5))
        rig.wait_for_count(len(truth))
        took_s = time.monotonic() - began
        [directory] = status(rig)["directories"]
        time.sleep(6)  # the next sweep must not say it again
        warnings = daemon.heard("max_user_watches")
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    print(f"10 watches, {folders} folders: {len(truth)} frames recorded {took_s:.1f} s after the first was written")
    assert len(warnings) == 1, warnings
    assert directory["mode"] == "degraded"
    assert "max_user_watches" in directory["why"]


def test_a_limit_that_grants_no_watch_at_all_leaves_polling(rig: Rig) -> None:
    limited = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "sh"]
    if subprocess.run([*limited, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs user namespaces with limits of their own")
    with rig.running(wrapped=limited) as daemon:
        truth = frames.write(rig.watched, range(20))
        rig.wait_for_count(20)
        assert status(rig)["directories"][0]["mode"] == "degraded"
        assert len(daemon.heard("max_user_instances")) == 1
    rig.assert_complete(as_text(truth), alerts=wanted(truth))


def test_folders_made_with_frames_in_them_at_once_lose_none(rig: Rig) -> None:
    number = sized(100, 500)
    truth: dict[Path, str] = {}
    with rig.running():
        for at in range(number):
            deep = rig.watched / f"a{at}" / "b" / "c"
            deep.mkdir(parents=True)
            truth |= frames.write(deep, range(3 * at, 3 * at + 3))
        rig.wait_for_count(len(truth))
    rig.assert_complete(as_text(truth), alerts=wanted(truth))


@pytest.mark.parametrize("how", ["renamed away", "replaced by an empty folder", "deleted and made again"])
def test_a_root_that_goes_and_comes_back_is_one_notice_each_and_nothing_is_read_again(rig: Rig, how: str) -> None:
    old, rounds, away_s = sized(300, 5000), sized(2, 20), sized(6, 10)
    truth = frames.write(rig.watched, range(old))
    with rig.running() as daemon:
        rig.wait_for_count(old, timeout_s=300)
        pid_before = daemon.stats.pid
        for turn in range(rounds):
            aside = rig.home / "aside"
            first = old + 10 * turn
            if how == "deleted and made again":
                shutil.rmtree(rig.watched)
                time.sleep(away_s)
                rig.watched.mkdir()
                truth |= frames.write(rig.watched, range(first, first + 10))
            else:
                rig.watched.rename(aside)
                if how == "replaced by an empty folder":
                    rig.watched.mkdir()
                time.sleep(away_s)
                truth |= {
                    rig.watched / path.name: sha for path, sha in frames.write(aside, range(first, first + 10)).items()
                }
                if how == "replaced by an empty folder":
                    rig.watched.rmdir()
                aside.rename(rig.watched)
            rig.wait_for_count(first + 10)
        assert daemon.stats.pid == pid_before
        gone, back = daemon.heard("waiting for it to come back"), daemon.heard("is back")
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    reread = rig.query("SELECT count(*) FROM frames WHERE attempts > 1 OR supersedes IS NOT NULL")
    print(
        f"{how}, {rounds} times: {old} old frames, {reread[0][0]} read again; {len(gone)} notices out, {len(back)} back"
    )
    assert reread == [(0,)]
    assert len(gone) == len(back)
    assert len(gone) <= rounds
    if how != "deleted and made again":  # which an eye that looks every two seconds may miss
        assert len(gone) == rounds


def test_an_empty_mount_in_place_of_the_share_is_one_notice_and_loses_nothing(rig: Rig) -> None:
    needs_root("to mount")
    old = 300
    truth = frames.write(rig.watched, range(old))
    with rig.running() as daemon:
        rig.wait_for_count(old)
        with mounted("tmpfs", "tmpfs", rig.watched):
            rig.wait_for(lambda: status(rig)["directories"][0]["mode"] == "unavailable", 60)
        truth |= frames.write(rig.watched, range(old, old + 10))
        rig.wait_for_count(old + 10)
        gone, back = daemon.heard("waiting for it to come back"), daemon.heard("is back")
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    assert rig.query("SELECT count(*) FROM frames WHERE attempts > 1") == [(0,)]
    assert (len(gone), len(back)) == (1, 1)


#: Makes a method fail some seconds after the start, in each thread that calls it, as an unforeseen error would.
_FAIL_LATER = """
import importlib, sys, threading, time

def _fail():
    time.sleep({after_s})
    owner = getattr(importlib.import_module("{module}"), "{owner}")
    before = owner.{method}
    failed = set()
    def failing(*arguments, **named):
        thread = threading.current_thread()
        task = thread.name if thread.name.startswith("alerts") else type(thread)
        if task not in failed:
            failed.add(task)
            raise SystemExit
        return before(*arguments, **named)
    owner.{method} = failing

if "emwatch.readers.sandbox.child" not in sys.orig_argv:
    threading.Thread(target=_fail, daemon=True).start()
"""


@pytest.mark.parametrize(
    ("module", "owner", "method"),
    [
        pytest.param("watchdog.observers.inotify", "InotifyEmitter", "queue_events", id="emitter"),
        pytest.param("watchdog.observers.inotify", "InotifyObserver", "dispatch_events", id="dispatcher"),
        pytest.param("watchdog.observers.inotify_c", "InotifyFD", "handle_event", id="reader of the system"),
        pytest.param("emwatch.alerts.outbox", "Outbox", "deliver_due", id="sender"),
    ],
)
def test_a_thread_that_dies_is_noticed_and_its_work_goes_on(rig: Rig, module: str, owner: str, method: str) -> None:
    hook = rig.home / "hook"
    hook.mkdir()
    fault = _FAIL_LATER.format(module=module, owner=owner, method=method, after_s=3)
    (hook / "sitecustomize.py").write_text(fault, encoding="utf-8")
    rig.configure(watch="sweep_seconds: 3600")
    path = os.pathsep.join([os.fspath(hook), os.environ.get("PYTHONPATH", "")])
    truth: dict[Path, str] = {}
    with rig.running(PYTHONPATH=path) as daemon:
        began = time.monotonic()
        for at in range(100):
            truth |= frames.write(rig.watched, range(at, at + 1))
            time.sleep(0.1)
        rig.wait_for_count(100, timeout_s=20)
        rig.wait_for(lambda: rig.query("SELECT count(*) FROM alerts WHERE state = 'delivered'") == [(10,)], 20)
        took_s = time.monotonic() - began
        warned = daemon.heard("died") + daemon.heard("restarted")
    rig.assert_complete(as_text(truth), alerts=wanted(truth))
    print(f"{owner}.{method} failed after 3 s: {warned}; 100 frames and their alerts done after {took_s:.1f} s")
    assert warned
