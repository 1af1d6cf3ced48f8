from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import (
    LabelledFrame,
    Part,
    check_manifest,
    labelled_frames,
    open_dataset,
    source_by_filing,
    write_manifest,
)

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


def test_an_unknown_category_is_told_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    _table(tmp_path, "x.png\tTipps\tlab 9\tMIT\t0\tyes\n")

    with pytest.raises(DatasetError, match=r"labels.tsv, line 12: 'Tipps' is none .* did you mean Tips\?"):
        labelled_frames(tmp_path)


def test_all_wrong_lines_are_told_at_once(tmp_path: Path) -> None:
    _table(
        tmp_path, "x.png\tporous sponge\tl\tMIT\t0\tyes\n", "\tTips\tl\tMIT\t0\tyes\n", "y.png\tqqq\tl\tMIT\t0\tyes\n"
    )

    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path)
    lines = str(error.value).splitlines()
    assert len(lines) == 4
    assert "3 mistakes" in lines[0]
    assert "line 12: 'porous sponge'" in lines[1]
    assert "did you mean Porous_Sponge?" in lines[1]
    assert "line 13: names no file" in lines[2]
    assert "line 14: 'qqq' is none of the ten categories: Biological" in lines[3]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("path\tcategory\nx.png\tTips\n")

    with pytest.raises(DatasetError, match="no column 'file'"):
        labelled_frames(tmp_path)


def test_a_table_of_two_columns_will_do(tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("file\tcategory\nwafer7_01.png\tTips\nwafer7_02.png\tTips\n")

    assert [(each.source, each.open_licence) for each in open_dataset(tmp_path)] == [("series wafer7", True)] * 2


def _folders(directory: Path) -> None:
    for name in CATEGORIES:
        (directory / name).mkdir()
        Image.fromarray(np.full((8, 9), 77, np.uint8)).save(directory / name / "a.png")


def test_a_folder_for_each_category_will_do_and_an_empty_one_is_told(tmp_path: Path) -> None:
    _folders(tmp_path)
    frames = labelled_frames(tmp_path)

    assert list(range(10)) == [frame.category for frame in frames]
    assert frames[0].grey().shape == (8, 9)
    (tmp_path / "Tips" / "a.png").unlink()
    with pytest.raises(DatasetError, match="no frames of Tips"):
        labelled_frames(tmp_path)


def test_a_folder_of_another_name_that_holds_frames_is_told(tmp_path: Path) -> None:
    _folders(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "Tips").rename(tmp_path / "tipps")

    with pytest.raises(DatasetError, match=r"folder 'tipps' is none .* did you mean Tips\? \(frames in it: 1\)"):
        open_dataset(tmp_path)


def test_a_manifest_gives_back_what_was_written(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    frames = [
        LabelledFrame(data / "Tips" / "a\tb\nc.png", 9, "lab \t1", "MIT", False, "Zeiss", True, Part.TEST),
        LabelledFrame(data / "Tips" / os.fsdecode(b"\xff\\.png"), 9, "lab 2"),
    ]
    write_manifest(tmp_path / "manifest.tsv", frames)

    assert frames == open_dataset(tmp_path / "manifest.tsv")
    (tmp_path / "moved").mkdir()
    assert [tmp_path / "moved" / "data", tmp_path / "moved" / "data"] == [
        each.path.parents[1] for each in open_dataset((tmp_path / "manifest.tsv").rename(tmp_path / "moved" / "m.tsv"))
    ]


def test_a_part_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text("file\tcategory\tpart\nx.png\tTips\ttrain\n")

    with pytest.raises(DatasetError, match="line 2: part 'train' is none of training, validation, test"):
        open_dataset(tmp_path / "m.tsv")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Tips/s1/x.png", "Powder/s1/y.png", True),
        ("Tips/s1/x.png", "Tips/s2/x.png", False),
        ("Tips/wafer7_003.png", "Tips/wafer7_104.png", True),
        ("Tips/wafer7 (1).png", "Tips/wafer7 (22).png", True),
        ("Tips/wafer7_003.png", "Tips/wafer8_003.png", False),
        ("Tips/0001.png", "Tips/0002.png", True),
        ("Tips/L9_0a1b2c3d4e5f6071.png", "Tips/L9_0a1b2c3d4e5f6072.png", False),
        ("Tips/20240102.png", "Tips/20240103.png", True),
    ],
)
def test_sources_are_told_from_how_frames_are_filed(one: str, other: str, same: bool) -> None:
    first, second = (source_by_filing(Path(each).parents[-2], Path(each)) for each in (one, other))

    assert same == (first == second)


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.int32])
def test_values_beyond_8_bits_are_stretched_and_not_clipped(tmp_path: Path, kind: type[np.generic]) -> None:
    Image.fromarray(np.linspace(1000, 60_000, 10_000).reshape(100, 100).astype(kind)).save(tmp_path / "frame.tif")

    grey = LabelledFrame(tmp_path / "frame.tif", 0, "one").grey()

    assert (grey.dtype, grey.shape, grey[0, 0], grey[-1, -1]) == (np.uint8, (100, 100), 0, 255)
    assert abs(int(grey[50, 0]) - 128) <= 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"file\tcategory\n\xe9.png\tTips\n", "save the table as UTF-8"),
        (b"file,category\nx.png,Tips\n", "no column 'file' and no column 'category'.*separated by tabs"),
        (b"file\tcategory\nC:\\x\\y.png\tTips\n", "line 2: .*write folders with /"),
    ],
)
def test_a_table_that_is_none_is_told_with_what_to_do(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "m.tsv").write_bytes(content)

    with pytest.raises(DatasetError, match=told):
        open_dataset(tmp_path / "m.tsv")


def test_a_place_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere is not there"):
        open_dataset(tmp_path / "nowhere")


def test_a_manifest_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()

    with pytest.raises(DatasetError, match=r"a-file.m\.tsv cannot be written: "):
        write_manifest(tmp_path / "a-file" / "m.tsv", [])
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_only_a_manifest_may_be_written_over(tmp_path: Path) -> None:
    check_manifest(tmp_path / "m.tsv")
    write_manifest(tmp_path / "m.tsv", [])
    check_manifest(tmp_path / "m.tsv")
    (tmp_path / "labels.tsv").write_text("file\tcategory\n")
    for other in (tmp_path / "labels.tsv", tmp_path):
        with pytest.raises(DatasetError, match=r"is no manifest: name another file|cannot be written"):
            check_manifest(other)
