from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime

import psutil

from emwatch.clock import SystemClock


def test_the_start_is_that_of_the_process_however_long_its_imports_took() -> None:
    code = "import time; time.sleep(0.3); from emwatch.clock import SystemClock; print(SystemClock().started().timestamp())"
    before = time.time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if sys.platform == "linux":
        assert before - 0.05 <= float(done.stdout) < time.time() - 0.3


def test_a_process_that_runs_for_long_does_not_take_its_age_for_a_start() -> None:
    age_s = time.time() - psutil.Process().create_time()
    started = SystemClock().started()
    assert abs((datetime.now(UTC) - started).total_seconds() - (age_s if age_s < 600 else 0)) < 1
