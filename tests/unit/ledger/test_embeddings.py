"""What a frame looks like is stored with its prediction, and goes where the frame goes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from emwatch.classify.bundles.bundle import PROJECTION, default_directory
from emwatch.classify.bundles.projection import Projection
from emwatch.classify.classifier import Classifier
from emwatch.classify.compact import in_8_bits, space_of
from emwatch.classify.preprocess import prepare
from emwatch.frame import Embedding
from emwatch.ledger.care.prune import Prune
from emwatch.ledger.care.salvage import Salvage
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.writer import Ledger
from emwatch.testing import make_outcome, make_prediction

if TYPE_CHECKING:
    from pathlib import Path

SPACE = space_of("b" * 64, "p" * 64, 4)
HOUR = timedelta(hours=1)


def looks(*values: int) -> Embedding:
    return Embedding(SPACE, np.array(values, dtype=np.int8).tobytes())


def outcome(name: str, embedding: Embedding | None) -> Any:
    return make_outcome(f"/acq/{name}.tif", name, prediction=make_prediction(embedding=embedding))


def stored(ledger: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(ledger)) as connection:
        return connection.execute(
            "SELECT frame_id, backbone_sha256, vector FROM embeddings AS e JOIN embedding_spaces AS s"
            " ON s.sha256 = e.space_sha256 ORDER BY frame_id"
        ).fetchall()


def test_it_is_stored_with_the_backbone_that_made_it_and_pruned_with_its_frame(ledger: Ledger, noon: datetime) -> None:
    ledger.record(outcome("a", looks(127, 0, 0, -1)), noon)
    ledger.record(outcome("b", looks(1, 2, 127, 4)), noon)
    assert stored(ledger.path) == [(1, "b" * 64, b"\x7f\0\0\xff"), (2, "b" * 64, b"\x01\x02\x7f\x04")]
    ledger.prune(Prune(lambda path: path.name == "b.tif", frames=noon + HOUR), apply=True)
    assert [row[0] for row in stored(ledger.path)] == [2]


def test_another_ledger_s_come_with_their_frames(ledger: Ledger, noon: datetime, tmp_path: Path) -> None:
    ledger.record(outcome("a", looks(127, 0, 0, 0)), noon)
    with Ledger(tmp_path / "other.sqlite") as other:
        other.record(outcome("b", looks(0, 127, 0, 0)), noon)
        other.record(outcome("c", looks(0, 0, 127, 0)), noon)
    with Salvage(tmp_path / "other.sqlite") as source:
        ledger.take_over(source, send_waiting=False)
    with LedgerReader(ledger.path) as reader:
        names = {row.id: row.path.stem for row in reader.rows()}
    assert {names[row[0]]: row[2].index(127) for row in stored(ledger.path)} == {"a": 0, "b": 1, "c": 2}


def test_a_frame_that_lacks_one_is_found_and_given_one_without_another_prediction(
    ledger: Ledger, noon: datetime
) -> None:
    ledger.record(outcome("old", None), noon)
    ledger.record(outcome("new", looks(127, 0, 0, 0)), noon)
    bundle = make_prediction().bundle_sha256
    with LedgerReader(ledger.path) as reader:
        assert reader.unjudged(LogFilter(), bundle) == []
        (lacking,) = reader.unjudged(LogFilter(), bundle, SPACE.sha256)
        assert (lacking.path.stem, lacking.judged) == ("old", True)
        before = reader.scores(lacking.frame_id)
        again = make_prediction("Powder", embedding=looks(0, 0, 0, 127))
        ledger.add_prediction(lacking.frame_id, again, noon + HOUR)
        assert reader.scores(lacking.frame_id) == before
        assert reader.count_unjudged(LogFilter(), bundle, SPACE.sha256) == 0


def test_it_points_where_the_whole_projection_does() -> None:
    """In 8 bits and with few components; a blank frame has one, too."""
    classifier = Classifier.load()
    assert classifier.bundle is not None
    y, x = np.mgrid[0:300, 0:400]
    views = prepare(((x * y) % 251).astype(np.uint8))
    prediction = classifier.classify(views)
    assert prediction.embedding is not None
    content = (default_directory() / PROJECTION).read_bytes()
    projection = Projection.from_bytes(content, classifier.bundle.features, "projection")
    whole = projection.compact(classifier.embed(views)[np.newaxis])[0][: prediction.embedding.space.width]
    found = np.frombuffer(prediction.embedding.values, dtype=np.int8).astype(np.float64)
    assert found @ whole / np.linalg.norm(found) / np.linalg.norm(whole) > 0.999
    assert classifier.space == prediction.embedding.space


def test_eight_bits_of_nothing_are_nothing() -> None:
    assert in_8_bits(np.array([0, 0, 0], np.float32)) == b"\0\0\0"
    assert in_8_bits(np.array([np.nan, 1, 0], np.float32)) == b"\0\0\0"
    assert in_8_bits(np.array([-2, 1, 0], np.float32)) == b"\x81\x40\0"


def test_the_stub_s_predictions_carry_one() -> None:
    classifier = Classifier.load(engine="stub")
    found = classifier.classify(np.zeros((1, 170, 170), np.float32)).embedding
    assert found is not None
    assert replace(found).space == classifier.space


def test_more_frames_are_described_than_a_statement_may_have_parameters(ledger: Ledger, noon: datetime) -> None:
    ledger.record(outcome("a", looks(127, 0, 0, 0)), noon)
    with LedgerReader(ledger.path) as reader:
        found = reader.facts(range(1, 300_000))
    assert [(each.frame_id, each.path.name) for each in found.values()] == [(1, "a.tif")]
