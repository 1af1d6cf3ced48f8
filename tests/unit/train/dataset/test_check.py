from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES, AcquisitionMetadata, Reading
from emwatch.simulate.microscope import take_picture
from emwatch.train.dataset.check import Kind, checked, doubts, troubles
from emwatch.train.dataset.duplicates import exact_duplicates, fingerprint, near_duplicates, repeats
from emwatch.train.dataset.labelled import LabelledFrame, open_dataset
from emwatch.train.dataset.survey import likeness, look_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def _picture(seed: int) -> npt.NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC))


def _save(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _dataset(directory: Path, per_category: int = 3) -> None:
    for index, name in enumerate(CATEGORIES):
        for number in range(per_category):
            _save(_picture(100 * index + number), directory / name / f"s{number}" / "a.png")


def _kinds(directory: Path, *, stops: bool) -> Sequence[Kind]:
    return [trouble.kind for trouble in troubles(look_at(open_dataset(directory))) if trouble.stops is stops]


def test_everything_wrong_is_told_at_once_with_file_names_and_what_to_do(tmp_path: Path) -> None:
    _dataset(tmp_path)
    for number in range(3):
        (tmp_path / "Tips" / f"s{number}" / "a.png").unlink()
    for number in range(2):
        (tmp_path / "Powder" / f"s{number}" / "a.png").unlink()
    (tmp_path / "Fibres" / "s0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    _save(_picture(0), tmp_path / "Nanowires" / "s2" / "again.png")  # Biological/s0/a.png
    said: list[str] = []
    with pytest.raises(DatasetError) as error:
        checked(look_at(open_dataset(tmp_path)), said.append)

    text = str(error.value)
    assert len(text.splitlines()) == 5
    assert "9 of the 10 categories have frames; there are none of Tips" in text
    assert "Powder has one frame" in text
    assert "Powder/s2/a.png" in text
    assert "1 file cannot be read" in text
    assert "Fibres/s0/broken.png" in text
    assert "the same picture is filed as Biological and as Nanowires" in text
    assert "Nanowires/s2/again.png" in text
    assert any("few frames of a category: Biological 3, Fibres 3" in line for line in said)


def test_a_sound_dataset_is_looked_at_and_passes(tmp_path: Path) -> None:
    _dataset(tmp_path)
    looks = checked(look_at(open_dataset(tmp_path)), print)

    assert [len(looks), looks[0].width, looks[0].height, looks[0].image_format] == [30, 160, 120, "PNG"]
    assert all(len(look.sha256) == 64 for look in looks)


def test_a_category_of_one_source_is_a_warning(tmp_path: Path) -> None:
    _dataset(tmp_path)
    for number in range(3):
        (tmp_path / "Tips" / f"s{number}" / "a.png").rename(tmp_path / "Tips" / f"only_{number}.png")

    assert _kinds(tmp_path, stops=True) == []
    assert Kind.ONE_SOURCE in _kinds(tmp_path, stops=False)


def test_labels_and_names_alone_tell_what_makes_figures_suffer() -> None:
    """`train heads` asks so: it reads frames only once, and drawn ones teach what has none."""
    hashed = [LabelledFrame(Path(f"Tips/{number:012x}a1.png"), 9, f"Tips/{number:012x}a1.png") for number in range(30)]
    alone = LabelledFrame(Path("Powder/x.png"), 8, "series x")

    one, no_sessions = doubts([*hashed, alone])

    assert one == "Powder has one frame (Powder/x.png): it cannot be both in training and in validation: add more"
    assert "30 of 31 frames are named by hashes, which name no session" in no_sessions
    assert doubts([LabelledFrame(Path("x.png"), index, f"{at}") for index in range(10) for at in range(20)]) == []


def test_no_frames_at_all_is_one_trouble(tmp_path: Path) -> None:
    assert _kinds(tmp_path, stops=True) == [Kind.NO_FRAMES]


def test_a_file_that_is_not_there_is_told_as_unreadable(tmp_path: Path) -> None:
    _dataset(tmp_path)
    rows = [f"{name}/s{n}/a.png\t{name}\tlab {n}\n" for name in CATEGORIES for n in range(3)]
    (tmp_path / "labels.tsv").write_text("file\tcategory\tsource\n" + "".join(rows) + "gone.png\tTips\tlab 1\n")

    assert _kinds(tmp_path, stops=True) == [Kind.UNREADABLE]


def test_the_same_picture_saved_smaller_darker_and_compressed_is_a_near_duplicate(tmp_path: Path) -> None:
    _dataset(tmp_path)
    copy = Image.fromarray((_picture(0) * 0.8 + 20).astype(np.uint8)).resize((120, 90))
    copy.save(tmp_path / "Biological" / "s2" / "copy.jpg", quality=60)
    looks = look_at(open_dataset(tmp_path))
    groups = likeness(looks).near

    assert [sorted(looks[at].frame.path.name for at in group) for group in groups] == [["a.png", "copy.jpg"]]
    assert exact_duplicates([look.sha256 for look in looks]) == []


def test_unreadable_files_are_not_duplicates_of_one_another(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        path = tmp_path / "Tips" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\nrubbish" + name.encode())
    looks = look_at(open_dataset(tmp_path))

    assert not any(look.is_read for look in looks)
    assert likeness(looks).together == []
    assert exact_duplicates([look.sha256 for look in looks]) == []


def _prints(count: int, seed: int = 0) -> list[bytes]:
    return [cells.tobytes() for cells in np.random.default_rng(seed).integers(0, 256, (count, 272), dtype=np.uint8)]


def _changed(fingerprint: bytes, rows: range) -> bytes:
    """Turn some of the 16 rows of cells round: about half of their 16 bits change."""
    cells = np.frombuffer(fingerprint, dtype=np.uint8).reshape(16, 17).copy()
    cells[list(rows)] = cells[list(rows), ::-1]
    return cells.tobytes()


def test_near_duplicates_are_found_over_chunks_and_over_others() -> None:
    prints = _prints(600)
    prints[599] = _changed(prints[3], range(3))
    prints[300] = _changed(prints[599], range(13, 16))

    assert near_duplicates(prints) == [[3, 300, 599]]
    assert near_duplicates([]) == []


def test_of_a_slow_pan_some_frames_are_kept_and_only_repeats_are_left_out() -> None:
    start = _prints(1)[0]
    pan = [start, *(_changed(start, range(rows)) for rows in (2, 4, 6))]

    assert near_duplicates(pan) == [[0, 1, 2, 3]]
    assert repeats(pan, [[0, 1, 2, 3]]) == {1, 2}


def test_plain_frames_with_a_speck_and_blank_ones_are_near_to_nothing() -> None:
    frames = np.full((5, 170, 170), 90, dtype=np.float32)
    frames[0, 20:40, 20:40] = 200
    frames[1, 120:140, 90:110] = 200
    frames[2, 60:80, 140:160] = 200  # the last two: blank

    assert near_duplicates([fingerprint(frame) for frame in frames]) == []


def test_blank_frames_of_the_same_bytes_are_exact_duplicates_and_stay_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _save(np.zeros((60, 80), np.uint8), tmp_path / "Tips" / name / "x.png")
    alike = likeness(look_at(open_dataset(tmp_path)))

    assert (alike.exact, alike.near, alike.together, alike.repeats) == ([[0, 1]], [], [[0, 1]], {1})


def test_the_frames_marked_as_near_duplicates_by_hand_are_found(labelled_frames: Path) -> None:
    frames = open_dataset(labelled_frames)
    marked = [frame for frame in frames if frame.near_duplicate]
    sources = {frame.source for frame in marked}
    looks = look_at([frame for frame in frames if frame.source in sources])
    groups = likeness(looks).near

    found = {looks[at].frame.path for group in groups for at in group}
    assert {frame.path for frame in marked} <= found
    assert all(len({looks[at].frame.source for at in group}) == 1 for group in groups)


def test_frames_of_one_instrument_and_day_by_their_files_belong_together(tmp_path: Path) -> None:
    days = (datetime(2026, 3, 2, 9, 14), datetime(2026, 3, 2, 17, 40), datetime(2026, 3, 3, 9, 0))  # noqa: DTZ001 - instruments name no zone
    for name, day in zip(("Fibres", "Powder", "Tips"), days, strict=True):
        # The seed chooses the instrument: the same one for all.
        picture = take_picture(name, 1, "zeiss", width=256, height=192, acquired_at=day)
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "x.tif").write_bytes(picture.files("x.tif")[".tif"])
    looks = look_at(open_dataset(tmp_path))

    assert {look.vendor for look in looks} == {"Zeiss"}
    assert all(look.magnification for look in looks)
    assert len({look.session.rpartition(" ")[0] for look in looks}) == 1
    assert likeness(looks).sessions == [[0, 1]]


def test_a_day_alone_is_no_sitting(tmp_path: Path) -> None:
    """A data bar may tell the day and no instrument: two laboratories work on one day."""
    for name in ("Fibres", "Powder"):
        _save(_picture(len(name)), tmp_path / name / "x" / "a.png")
    day = {"acquired_at": Reading("2026-03-02T09:14:00", "02/03/2026", "data bar")}
    looks = look_at(
        open_dataset(tmp_path), complete=lambda each: replace(each, metadata=AcquisitionMetadata(None, day))
    )

    assert [look.session for look in looks] == ["", ""]
    assert likeness(looks).sessions == []
