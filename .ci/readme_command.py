"""Print one of the README's two set-up commands: the first line of the block under the comment naming it."""

import re
import sys
from pathlib import Path

text = Path("README.md").read_text(encoding="utf-8")
found = re.search(rf"<!-- command: {re.escape(sys.argv[1])} -->\s*```sh\n(.+?)\n```", text, re.DOTALL)
if found is None:
    sys.exit(f"README.md: no block under <!-- command: {sys.argv[1]} -->")
print(found[1])
