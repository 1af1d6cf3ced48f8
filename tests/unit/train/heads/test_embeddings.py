from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from emwatch.classify.backbone import StubEngine
from emwatch.errors import DatasetError
from emwatch.train.heads.embeddings import Embeddings, InputPicture

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


class _Drawer:
    """A picture of one grey that counts how often it was made."""

    def __init__(self, grey: int) -> None:
        self.grey = grey
        self.made = 0

    def picture(self, made_by: str = "test", code: tuple[str, ...] = ()) -> InputPicture:
        return InputPicture(lambda: bytes([self.grey]), self._pixels, made_by, code)

    def _pixels(self) -> np.ndarray:
        self.made += 1
        return np.full((40, 50), self.grey, np.uint8)


_PICTURES = [_Drawer(grey).picture() for grey in (10, 200, 10)]


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


def test_a_remembered_picture_is_not_even_made() -> None:
    drawer = _Drawer(90)
    for _ in range(2):
        Embeddings(_Counting(), "a" * 64, _quiet).of("test", [drawer.picture()])

    assert drawer.made == 1


@pytest.mark.parametrize(
    "other", [_Drawer(91).picture(), _Drawer(90).picture("otherwise"), _Drawer(90).picture(code=("emwatch.units",))]
)
def test_other_content_another_way_and_other_code_are_other_pictures(other: InputPicture) -> None:
    assert other.key() != _Drawer(90).picture().key() == _Drawer(90).picture().key()


def test_order_is_kept_though_pictures_are_made_by_threads() -> None:
    drawers = [_Drawer(grey) for grey in range(5, 250, 10)]
    rows = Embeddings(_Counting(), "a" * 64, _quiet, threads=4).of("test", [each.picture() for each in drawers])

    assert [int(row.argmax()) for row in rows] == [int(each.grey // 25.5) for each in drawers]


def test_what_is_embedded_is_said_once_and_counted_after_each() -> None:
    said: list[str] = []
    counted: list[tuple[str, int, int]] = []
    for _ in range(2):
        kept = Embeddings(_Counting(), "a" * 64, said.append, counting=lambda *told: counted.append(told))
        kept.of("frames", _PICTURES)

    assert said == ["embedding frames: 2"]
    assert counted == [("embedding frames", 1, 2), ("embedding frames", 2, 2)]


def _broken(name: str) -> InputPicture:
    def fail() -> np.ndarray:
        raise DatasetError(f"{name} cannot be read")

    return InputPicture(name.encode, fail, "test")


def test_pictures_that_cannot_be_made_are_all_named_and_no_work_is_lost() -> None:
    again = _Counting()
    pictures = [_PICTURES[0], _broken("x.png"), _PICTURES[1], _broken("y.png")]

    with pytest.raises(DatasetError, match=r"x\.png cannot be read\ny\.png cannot be read"):
        Embeddings(_Counting(), "a" * 64, _quiet).of("test", pictures)
    Embeddings(again, "a" * 64, _quiet).of("test", _PICTURES)

    assert again.views == 0


def test_what_was_embedded_before_ctrl_c_is_kept() -> None:
    class Interrupted(_Counting):
        def embed(self, views: np.ndarray) -> np.ndarray:
            if self.views:
                raise KeyboardInterrupt
            return super().embed(views)

    again = _Counting()
    with pytest.raises(KeyboardInterrupt):
        Embeddings(Interrupted(), "a" * 64, _quiet).of("test", _PICTURES)
    Embeddings(again, "a" * 64, _quiet).of("test", _PICTURES)

    assert again.views == 1
