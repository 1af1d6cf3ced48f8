"""Hold unit files against systemd's own tools: each must verify, and its exposure must stay at 2.0 or below."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_THRESHOLD = 20  # tenths


def _faults(unit: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        # The program it starts need not be installed for its syntax to be judged.
        stand_in = Path(folder) / unit.name
        text = unit.read_text(encoding="utf-8").replace("/opt/emwatch/bin/emwatch", "/bin/true")
        stand_in.write_text(text, encoding="utf-8")
        verify = _ask("verify", "--man=no", stand_in)
        print(verify.stdout + verify.stderr, end="")
        complaints = [line for line in verify.stderr.splitlines() if unit.stem in line]
        security = _ask("security", "--offline=yes", f"--threshold={_THRESHOLD}", stand_in)
        print(security.stdout.strip().splitlines()[-1])
    return bool(verify.returncode or complaints or security.returncode)


def _ask(*question: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SYSTEMD_PAGER": "cat"}
    return subprocess.run(["systemd-analyze", *question], env=environment, capture_output=True, text=True, check=False)


sys.exit(1 if sum(map(_faults, map(Path, sys.argv[1:]))) else 0)
