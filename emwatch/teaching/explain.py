"""Which condition of which configured target a frame meets, with the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emwatch.classify.bundles import store
from emwatch.classify.preprocess import prepared_by
from emwatch.classify.scale_doubt import field_width_um
from emwatch.frame import Candidate, path_to_text
from emwatch.ledger.column_types import moment_of_ns
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import reading_limits
from emwatch.targets.rules import explain
from emwatch.teaching.examples import located, read_as_named, reader_of
from emwatch.teaching.store import with_judges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.config import Config
    from emwatch.targets.rules import Target


def explain_frames(config: Config, named: Sequence[str]) -> list[dict[str, Any]]:
    """
    Read and classify frames, and return each with its targets and their conditions. Raises `EmwatchError`.

    The frames before it are those of the ledger; before one that is not in it, the newest ones.
    """
    classifier = store.in_use(config).load(config.model.engine, config.model.threads)
    targets = with_judges(config.wanted(), config.ledger.path)
    most = max((each.asks.of_last.frames for each in targets if each.asks.of_last), default=1)
    rows = []
    with (
        Sandbox(prepared_by(config.model.views), reading_limits(config)) as sandbox,
        reader_of(config) as reader,
    ):
        for name in named:
            path, frame_id = located(reader, name)
            reading = read_as_named(sandbox, reader, name, path, frame_id)
            width_um = field_width_um(reading.metadata, reading.width) if config.model.doubt_by_scale else None
            prediction = classifier.classify(reading.views, reading.coloured_share, width_um)
            frame = Candidate(prediction, reading.metadata, path, moment_of_ns(reading.stat_key.mtime_ns))
            earlier = [] if reader is None or most == 1 else reader.candidates_before(frame_id, most - 1)
            rows.append(
                {"path": path_to_text(path), "targets": [_explained(target, frame, earlier) for target in targets]}
            )
    return rows


def _explained(target: Target, frame: Candidate, earlier: Sequence[Candidate]) -> dict[str, Any]:
    conditions = explain(target, frame, earlier)
    return {
        "target": target.name,
        "met": all(each.met for each in conditions),
        "conditions": [each._asdict() for each in conditions],
    }
