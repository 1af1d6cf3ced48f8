"""
Run the runnable blocks of the documentation: every ```sh block directly under a line ``<!-- run -->``.

The blocks of one file run in order in one empty directory that has the repository's checkout as ``$CHECKOUT``, with
this environment's programs first on the path. A block that fails, fails the run; its output is shown. So does one that
does not print a line of the block under ``<!-- shown -->`` after it, in which ``...`` stands for anything.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(
    r"<!-- run -->\s*```sh\n(.+?)```(?:(?:(?!<!-- run -->).)*?<!-- shown -->\s*```\n(.+?)```)?", re.DOTALL
)


def missing(shown: str, said: str) -> list[str]:
    """Return the lines of a block that stand nowhere in an output."""
    patterns = {line: ".*".join(map(re.escape, line.split("..."))) for line in shown.splitlines()}
    return [line for line, pattern in patterns.items() if not re.search(pattern, said)]


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
        for block, shown in blocks:
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
            unsaid = missing(shown, done.stdout + done.stderr)
            wrong = done.returncode != 0 or bool(unsaid)
            print(f"{'FAILED' if wrong else 'ok'}  {name}: {block.splitlines()[0]}")
            if wrong:
                failed += 1
                print(done.stdout, done.stderr, *(f"not printed: {line}" for line in unsaid), sep="\n")
print(f"{count} blocks run, {failed} failed")
sys.exit(1 if failed or not count else 0)
