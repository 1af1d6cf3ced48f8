from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from emwatch.classify.backbone import StubEngine
from emwatch.train.embeddings import Embeddings

if TYPE_CHECKING:
    from pathlib import Path


class _Counting(StubEngine):
    """Counts the views it was asked for."""

    def __init__(self) -> None:
        self.views = 0

    def embed(self, views: np.ndarray) -> np.ndarray:
        self.views += len(views)
        return super().embed(views)


@pytest.fixture(name="cache", autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMWATCH_EMBEDDINGS", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _picture(grey: int) -> np.ndarray:
    return np.full((40, 50), grey, np.uint8)


_PICTURES = [partial(_picture, grey) for grey in (10, 200, 10)]


def _quiet(line: str) -> None:
    del line


def test_a_picture_is_embedded_once_and_remembered_over_runs() -> None:
    first, second = _Counting(), _Counting()
    rows = Embeddings(first, "a" * 64, _quiet).of("test", _PICTURES)
    again = Embeddings(second, "a" * 64, _quiet).of("test", _PICTURES)

    assert (first.views, second.views) == (2, 0)
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(rows[0], rows[2])


def test_another_backbone_remembers_nothing_of_the_first() -> None:
    other = _Counting()
    Embeddings(_Counting(), "a" * 64, _quiet).of("test", _PICTURES)
    Embeddings(other, "b" * 64, _quiet).of("test", _PICTURES)

    assert other.views == 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not an archive"])
def test_a_damaged_cache_is_made_again(cache: Path, content: bytes) -> None:
    cache.mkdir()
    (cache / f"{'a' * 16}.npz").write_bytes(content)
    engine = _Counting()

    rows = Embeddings(engine, "a" * 64, _quiet).of("test", _PICTURES)

    assert (engine.views, rows.shape) == (2, (3, 10))
