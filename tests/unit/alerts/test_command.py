from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from emwatch.alerts.command import CommandChannel
from emwatch.errors import AlertError
from emwatch.testing import make_alert

ALERT = make_alert(
    "key7",
    "lamp",
    target="wires",
    reason="Nanowires 0.93 >= 0.80",
    path=Path("/acq/a b.tif"),
    category="Nanowires",
    probability=0.9349,
    magnification=25_000.0,
    attempts=2,
)


def python(script: str, *arguments: str, timeout_s: float = 10.0) -> CommandChannel:
    return CommandChannel([sys.executable, "-S", "-c", script, *arguments], timeout_s=timeout_s)


def test_placeholders_are_filled_in_the_arguments_and_doubled_braces_are_literal(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f"import sys, json; open({str(out)!r}, 'w').write(json.dumps(sys.argv[1:]))"

    python(
        script, "--file={path}", "{category} {probability} {magnification}x", "{target}: {reason}", "{{print}}", ""
    ).send(ALERT)

    expected = ["--file=/acq/a b.tif", "Nanowires 0.93 25000x", "wires: Nanowires 0.93 >= 0.80", "{print}", ""]
    assert expected == json.loads(out.read_text())


def test_the_environment_carries_the_alert_and_not_the_service_managers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("DISPLAY", ":7")
    script = f"import os, json; open({str(out)!r}, 'w').write(json.dumps(dict(os.environ)))"

    python(script).send(ALERT)

    actual = json.loads(out.read_text())
    assert "NOTIFY_SOCKET" not in actual
    assert actual["DISPLAY"] == ":7"
    expected = {
        "PATH": "/acq/a b.tif",
        "CATEGORY": "Nanowires",
        "PROBABILITY": "0.93",
        "TARGET": "wires",
        "KEY": "key7",
    }
    assert expected == {name: actual[f"EMWATCH_ALERT_{name}"] for name in expected}
    assert actual["EMWATCH_ALERT_STAGE_TILT_DEG"] == ""


def test_the_alert_is_json_on_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out"

    python(f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())").send(ALERT)

    actual = json.loads(out.read_text())
    assert (
        actual["key"],
        actual["probability"],
        actual["stage_tilt_deg"],
        actual["attempt"],
    ) == ("key7", 0.9349, None, 3)


def test_a_failure_is_told_by_the_last_line_of_standard_error_and_never_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    script = "import sys; print('x' * 9000, file=sys.stderr); print('lamp \\x1b[31m is off\\n', file=sys.stderr); sys.exit(3)"

    with pytest.raises(AlertError) as caught:
        python(script).send(ALERT)

    assert f"command {sys.executable}: exit status 3: lamp \\x1b[31m is off" == str(caught.value)


def test_what_it_prints_is_cut_and_does_not_block_it() -> None:
    script = (
        "import sys; [sys.stdout.write('y' * 99999) for _ in range(50)]; sys.stderr.write('z' * 99999); sys.exit(1)"
    )

    with pytest.raises(AlertError) as caught:
        python(script).send(ALERT)

    assert len(str(caught.value)) < 500


def test_a_program_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    begun = time.monotonic()

    with pytest.raises(AlertError, match=r"killed, not done after 1\.5 s"):
        python(script, timeout_s=1.5).send(ALERT)

    assert time.monotonic() - begun < 20
    _wait_until_gone(int(pid.read_text()))


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return
        os.sched_yield()
    pytest.fail(f"process {pid} outlived the timeout")


def test_a_program_that_leaves_a_child_behind_is_not_waited_for() -> None:
    script = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(4)'])\n"
    begun = time.monotonic()

    python(script).send(ALERT)

    assert time.monotonic() - begun < 3.5


def test_a_program_that_is_not_there_is_an_alert_error_naming_it() -> None:
    with pytest.raises(AlertError, match=r"no-such-program: cannot be started"):
        CommandChannel(["no-such-program"]).send(ALERT)


LEAVES_A_CHILD = "sleep 30 & echo $! >> {}; exit 0"


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_children_left_behind_cost_no_thread_and_no_descriptor_each_and_end_at_the_time_limit(tmp_path: Path) -> None:
    children = tmp_path / "children"
    channel = CommandChannel(["sh", "-c", LEAVES_A_CHILD.format(children)], timeout_s=1.5)
    channel.send(ALERT)
    threads, descriptors = threading.active_count(), _descriptors()

    for _ in range(12):
        channel.send(ALERT)

    assert threading.active_count() <= max(threads, 2)  # one looks after all of them
    assert _descriptors() == descriptors
    for child in children.read_text().split():
        _wait_until_gone(int(child))


def test_a_child_that_ends_by_itself_within_the_time_limit_is_left_to_do_its_work(tmp_path: Path) -> None:
    done = tmp_path / "done"
    channel = CommandChannel(["sh", "-c", f"(sleep 1.2; touch {done}) & exit 0"], timeout_s=10)

    channel.send(ALERT)

    deadline = time.monotonic() + 8
    while not done.exists():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_child_that_goes_on_writing_does_not_hold_up_the_alert() -> None:
    begun = time.monotonic()

    CommandChannel(["sh", "-c", "yes & exit 0"], timeout_s=5).send(ALERT)

    assert time.monotonic() - begun < 3


def test_a_program_that_closes_its_pipes_and_works_on_is_waited_for() -> None:
    begun = time.monotonic()

    CommandChannel(["sh", "-c", "exec <&- >&- 2>&-; sleep 1"], timeout_s=5).send(ALERT)

    assert time.monotonic() - begun >= 1


CROWDED = """
import resource, os, sys
from emwatch.alerts.command import CommandChannel
from emwatch.errors import AlertError
from emwatch.testing import make_alert
resource.setrlimit(resource.RLIMIT_NPROC, (int(sys.argv[1]),) * 2)
os.setuid(1_000_000 + os.getpid())  # a user with no process of an earlier test
for command in (["true"], ["sh", "-c", "sleep 9 >/dev/null 2>&1 & exit 0"]):
    try:
        CommandChannel(command).send(make_alert())
    except AlertError as error:
        print("refused:", error)
    else:
        print("delivered")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may start only so many processes")
@pytest.mark.parametrize("tasks", [1, 2, 3, 4])
def test_a_limit_on_tasks_is_an_alert_error_or_no_trouble_at_all(tasks: int) -> None:
    """Threads and processes count as tasks: where one cannot be started, nothing but `AlertError` leaves the channel."""
    done = subprocess.run(
        [sys.executable, "-c", CROWDED, str(tasks)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    first, _ = done.stdout.splitlines()
    assert first.startswith("refused: command true: cannot be started" if tasks == 1 else "delivered")
