"""Test a model in this process: ``python -m emwatch.service.doctor.model_child JOB``, a JSON object of `InUse.load`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from emwatch.classify.bundles.store import InUse
from emwatch.errors import ModelError


def main() -> None:
    """Load the model, which runs its self-test; what is wrong is the last line on stderr."""
    job = json.loads(sys.argv[1])
    try:
        InUse(Path(job["directory"]), job["sha256"]).load(job["engine"], job["threads"])
    except (ModelError, OSError, MemoryError, ImportError) as error:
        sys.exit(" ".join(str(error).split()) or type(error).__name__)


if __name__ == "__main__":
    main()
