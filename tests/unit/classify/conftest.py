"""A bundle with a head of random numbers and a backbone that is none: enough for all that never runs it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from emwatch.classify.head import Head
from emwatch.classify.preprocess import PREPROCESSING_ID
from emwatch.frame import CATEGORIES
from tests.bundles import make_bundle_like_default

if TYPE_CHECKING:
    from pathlib import Path


def _write(directory: Path, card: dict[str, Any]) -> None:
    (directory / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")


@pytest.fixture(name="write_card")
def _write_card() -> Any:
    return _write


@pytest.fixture(name="drawn_head")
def _drawn_head() -> Head:
    random = np.random.default_rng(7)
    weights, early = (random.normal(size=(rows, 10)).astype(np.float32) for rows in (2048, 1024))
    return Head(weights, random.normal(size=10).astype(np.float32), early, 1.5)


@pytest.fixture(name="bundle_directory")
def _bundle_directory(tmp_path: Path, drawn_head: Head) -> Path:
    directory = tmp_path / "bundle"
    directory.mkdir()
    files = {"backbone.tflite": b"no graph, only bytes", "head.npz": drawn_head.to_bytes()}
    for name, content in files.items():
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o644)
    _write(
        directory,
        {
            "format": 1,
            "name": "test",
            "labels": list(CATEGORIES),
            "preprocessing": {"id": PREPROCESSING_ID},
            "backbone": {"outputs": [{"name": "average", "width": 2048}, {"name": "add_11", "width": 1024}]},
            "head": {"uncertain_below": 0.4},
            "self_test": {"scores": [0.1] * 10, "tolerance": 0.02},
            "files": {name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()},
        },
    )
    return directory


@pytest.fixture(name="make_bundle")
def _make_bundle(tmp_path: Path) -> Any:
    """Make a whole bundle like the shipped one, under another name and with other figures: another identity."""

    def make(name: str, balanced_accuracy: float | None = None, protocol: str | None = None) -> Path:
        figures = {} if balanced_accuracy is None else {"balanced_accuracy": balanced_accuracy}
        return make_bundle_like_default(tmp_path / "made", name, protocol, **figures)

    return make
