"""Which condition of which configured target a frame meets, with the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emwatch.classify.bundles import store
from emwatch.classify.preprocess import prepared_by
from emwatch.classify.scale_doubt import field_width_um
from emwatch.frame import path_to_text
from emwatch.ledger.query import LedgerReader
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import reading_limits
from emwatch.targets.rules import explain
from emwatch.teaching.examples import located
from emwatch.teaching.store import with_judges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.config import Config


def explain_frames(config: Config, named: Sequence[str]) -> list[dict[str, Any]]:
    """Read and classify frames, and return each with its targets and their conditions. Raises `EmwatchError`."""
    classifier = store.in_use(config).load(config.model.engine, config.model.threads)
    targets = with_judges(config.wanted(), config.ledger.path)
    rows = []
    with Sandbox(prepared_by(config.model.views), reading_limits(config)) as sandbox:
        for name in named:
            path = _path(config, name)
            sandbox.begin(path)
            reading = sandbox.finish()
            width_um = field_width_um(reading.metadata, reading.width) if config.model.doubt_by_scale else None
            prediction = classifier.classify(reading.views, reading.coloured_share, width_um)
            found = []
            for target in targets:
                conditions = explain(target, prediction, reading.metadata)
                found.append(
                    {
                        "target": target.name,
                        "met": all(each.met for each in conditions),
                        "conditions": [each._asdict() for each in conditions],
                    }
                )
            rows.append({"path": path_to_text(path), "targets": found})
    return rows


def _path(config: Config, name: str) -> Path:
    if Path(name).exists() or not config.ledger.path.exists():
        return Path(name)
    with LedgerReader(config.ledger.path) as reader:
        return located(reader, name)[0]
