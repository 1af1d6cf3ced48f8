"""Which condition of which configured target a frame meets, with the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emwatch.classify.bundles import store
from emwatch.classify.preprocess import prepared_by
from emwatch.classify.scale_doubt import field_width_um
from emwatch.frame import path_to_text
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import reading_limits
from emwatch.targets.rules import explain
from emwatch.teaching.examples import located, reader_of
from emwatch.teaching.store import with_judges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.config import Config


def explain_frames(config: Config, named: Sequence[str]) -> list[dict[str, Any]]:
    """Read and classify frames, and return each with its targets and their conditions. Raises `EmwatchError`."""
    classifier = store.in_use(config).load(config.model.engine, config.model.threads)
    targets = with_judges(config.wanted(), config.ledger.path)
    rows = []
    with (
        Sandbox(prepared_by(config.model.views), reading_limits(config)) as sandbox,
        reader_of(config) as reader,
    ):
        for name in named:
            path = Path(name) if reader is None or Path(name).exists() else located(reader, name)[0]
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
