from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset import labelled_frames

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = "file\tcategory\tsource\tlicence\tnear_duplicate\topen_licence\n"


def _table(directory: Path, *extra: str) -> None:
    rows = [f"{name}/1.png\t{name}\tlab {index % 3}\tMIT\t0\tyes\n" for index, name in enumerate(CATEGORIES)]
    (directory / "labels.tsv").write_text(_HEADER + "".join(rows) + "".join(extra), encoding="utf-8")


def test_a_table_tells_category_source_and_licence(tmp_path: Path) -> None:
    _table(tmp_path, "x.png\tTips\tlab 9\tnone\t\tno\n")
    frames = labelled_frames(tmp_path)

    assert len(frames) == 11
    assert (tmp_path / "x.png", 9, "lab 9", False) == (
        frames[-1].path,
        frames[-1].category,
        frames[-1].source,
        frames[-1].open_licence,
    )


def test_near_duplicates_are_left_out(tmp_path: Path) -> None:
    _table(tmp_path, "x.png\tTips\tlab 9\tMIT\t1\tyes\n")

    assert len(labelled_frames(tmp_path)) == 10


def test_an_unknown_category_is_told_with_its_line(tmp_path: Path) -> None:
    _table(tmp_path, "x.png\tTipps\tlab 9\tMIT\t0\tyes\n")

    with pytest.raises(ModelError, match=r"labels.tsv, line 12: 'Tipps' is none of Biological"):
        labelled_frames(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("file\tcategory\nx.png\tTips\n")

    with pytest.raises(ModelError, match="no column 'source'"):
        labelled_frames(tmp_path)


def test_a_folder_for_each_category_will_do_and_an_empty_one_is_told(tmp_path: Path) -> None:
    for name in CATEGORIES:
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 9), 77, np.uint8)).save(tmp_path / name / "a.png")
    frames = labelled_frames(tmp_path)

    assert list(range(10)) == [frame.category for frame in frames]
    assert frames[0].grey().shape == (8, 9)
    (tmp_path / "Tips" / "a.png").unlink()
    with pytest.raises(ModelError, match="no frames of Tips"):
        labelled_frames(tmp_path)
