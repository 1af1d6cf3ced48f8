"""
Run the runnable blocks of the documentation: every ```sh block directly under a line ``<!-- run -->``.

The blocks of one file run in order in one empty directory that has the repository's checkout as ``$CHECKOUT``, with
this environment's programs first on the path. A block that fails, fails the run; its output is shown.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"<!-- run -->\s*```sh\n(.+?)```", re.DOTALL)
checkout = Path.cwd()
failed = count = 0
for name in sys.argv[1:]:
    blocks = BLOCK.findall(Path(name).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as empty:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CHECKOUT": os.fspath(checkout),
            "HOME": empty,
            "XDG_STATE_HOME": f"{empty}/state",
        }
        for block in blocks:
            count += 1
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=empty,
                env=environment,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            print(f"{'ok' if done.returncode == 0 else 'FAILED'}  {name}: {block.splitlines()[0]}")
            if done.returncode != 0:
                failed += 1
                print(done.stdout, done.stderr, sep="\n")
print(f"{count} blocks run, {failed} failed")
sys.exit(1 if failed or not count else 0)
