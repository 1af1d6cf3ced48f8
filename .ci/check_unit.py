"""Hold a unit file against systemd's own tools: it must verify, and its exposure must stay at 2.5 or below."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

unit = Path(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    # The program it starts need not be installed for its syntax to be judged.
    stand_in = Path(folder) / unit.name
    stand_in.write_text(
        unit.read_text(encoding="utf-8").replace("/opt/emwatch/bin/emwatch", "/bin/true"), encoding="utf-8"
    )
    environment = os.environ | {"SYSTEMD_PAGER": "cat"}
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", stand_in],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    print(verify.stdout + verify.stderr, end="")
    complaints = [line for line in verify.stderr.splitlines() if unit.name in line]
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=25", stand_in],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    print(security.stdout.strip().splitlines()[-1])
sys.exit(1 if verify.returncode or complaints or security.returncode else 0)
