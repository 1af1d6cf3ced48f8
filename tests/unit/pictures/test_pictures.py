"""Pictures for people: right size, right contrast, and a scale bar that is as long as it says."""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from emwatch.errors import NotAFrame, ReaderDied, TooLarge, Unsteady, Vanished
from emwatch.pictures.cache import PictureCache
from emwatch.pictures.reader import PictureReader
from emwatch.pictures.render import render
from emwatch.pictures.scale_bar import scale_bar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _opened(jpeg: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"))


def _longest_white_run(row: npt.NDArray[np.uint8]) -> int:
    longest = run = 0
    for each in row > 200:
        run = run + 1 if each else 0
        longest = max(longest, run)
    return longest


@pytest.fixture(name="reader", scope="module")
def _reader() -> Iterator[PictureReader]:
    with PictureReader() as reader:
        yield reader


class TestScaleBar:
    @given(st.integers(100, 4096), st.floats(1e-3, 1e6))
    def test_it_is_as_long_as_it_says_and_fits(self, width: int, pixel_size_nm: float) -> None:
        bar = scale_bar(width, pixel_size_nm)
        if bar is not None:
            assert abs(bar.length_px * pixel_size_nm / bar.length_nm - 1) <= 0.02
            assert bar.length_px <= width * 0.3 + 1

    @pytest.mark.parametrize(
        ("width", "pixel_size_nm", "label"),
        [(1024, 1.0, "200 nm"), (1024, 5.0, "1 µm"), (640, 1000.0, "100 µm"), (1000, 1e4, "2 mm"), (512, 0.01, "1 nm")],
    )
    def test_its_label_is_a_round_length_in_a_unit_that_fits(
        self, width: int, pixel_size_nm: float, label: str
    ) -> None:
        bar = scale_bar(width, pixel_size_nm)

        assert bar is not None
        assert bar.label == label

    @pytest.mark.parametrize("pixel_size_nm", [None, 0.0, -3.0, float("nan"), float("inf")])
    def test_without_a_usable_pixel_size_there_is_none(self, pixel_size_nm: float | None) -> None:
        assert scale_bar(1024, pixel_size_nm) is None

    def test_a_picture_too_narrow_for_a_true_bar_has_none(self) -> None:
        assert scale_bar(60, 3.0) is None

    @pytest.mark.parametrize("longest", [320, 512, 1024])
    def test_the_drawn_bar_has_the_stated_length(self, longest: int) -> None:
        frame = np.full((768, 1024), 60, np.uint8)

        picture = render(frame, longest, pixel_size_nm=7.3)
        bar_px = max(_longest_white_run(row) for row in _opened(picture.jpeg))

        assert picture.scale_bar_nm is not None
        assert bar_px * 7.3 * 1024 / picture.width == pytest.approx(picture.scale_bar_nm, rel=0.04)

    def test_it_stands_above_the_frame_s_own_data_bar(self) -> None:
        frame = np.full((800, 1024), 60, np.uint8)
        frame[736:] = 255

        shown = _opened(render(frame, 1024, pixel_size_nm=5.0, data_bar_rows=64).jpeg)

        assert (shown[740:] > 240).all()

    def test_it_stands_above_a_data_bar_of_unknown_height(self) -> None:
        frame = np.random.default_rng(0).integers(40, 90, (800, 1024)).astype(np.uint8)
        frame[736:] = 255
        for left in range(40, 700, 60):  # what is written there
            frame[756:780, left : left + 30 : 3] = 0
        drawn = frame.copy()

        shown = _opened(render(drawn, 1024, pixel_size_nm=5.0).jpeg)

        assert (np.abs(shown[740:].astype(int) - frame[740:]) < 60).all()
        assert max(_longest_white_run(row) for row in shown[600:730]) > 100


class TestRender:
    @pytest.mark.parametrize("shape", [(1536, 2048), (2048, 1536), (300, 4000), (100, 80)])
    def test_the_longer_side_is_as_asked_and_never_enlarged(self, shape: tuple[int, int]) -> None:
        picture = render(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8), 512)

        assert max(picture.width, picture.height) == min(512, max(shape))
        assert picture.width / picture.height == pytest.approx(shape[1] / shape[0], rel=0.03)
        assert (picture.frame_width, picture.frame_height) == (shape[1], shape[0])

    @pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int32])
    def test_deep_frames_are_stretched(self, dtype: type) -> None:
        ramp = np.tile(np.linspace(1000, 1400, 2048), (1536, 1)).astype(dtype)

        shown = _opened(render(ramp, 512).jpeg)

        assert shown.min() < 10
        assert shown.max() > 245

    def test_colour_stays(self) -> None:
        frame = np.zeros((200, 300, 3), np.uint8)
        frame[..., 0] = 200

        red, green, _ = Image.open(io.BytesIO(render(frame, 100).jpeg)).convert("RGB").getpixel((50, 30))

        assert red > 150 > 60 > green


class TestReader:
    def test_a_file_becomes_a_picture(self, reader: PictureReader, tmp_path: Path) -> None:
        path = tmp_path / "frame.tif"
        tifffile.imwrite(path, np.random.default_rng(0).integers(0, 65535, (900, 1200)).astype(np.uint16))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()

        picture = reader.read(path, 400, sha256=digest, pixel_size_nm=10.0)

        assert (picture.width, picture.height) == (400, 300)
        assert picture.scale_bar_nm == 2000.0
        assert [each.name for each in tmp_path.iterdir()] == ["frame.tif"]

    def test_a_file_overwritten_since_is_refused(self, reader: PictureReader, tmp_path: Path) -> None:
        path = tmp_path / "frame.tif"
        tifffile.imwrite(path, np.zeros((90, 120), np.uint8))

        with pytest.raises(Unsteady, match="overwritten"):
            reader.read(path, 100, sha256="0" * 64)

    def test_what_is_no_frame_has_its_reason(self, reader: PictureReader, tmp_path: Path) -> None:
        text = tmp_path / "notes.tif"
        text.write_text("not a picture")
        bomb = tmp_path / "bomb.png"
        bomb.write_bytes(_png_claiming(60_000, 60_000))

        with pytest.raises(NotAFrame):
            reader.read(text, 100)
        with pytest.raises(TooLarge):
            reader.read(bomb, 100)
        with pytest.raises(Vanished):
            reader.read(tmp_path / "gone.tif", 100)

    def test_a_child_that_is_killed_is_replaced(self, reader: PictureReader, tmp_path: Path) -> None:
        path = tmp_path / "frame.tif"
        tifffile.imwrite(path, np.zeros((90, 120), np.uint8))
        reader.read(path, 100)
        assert reader.pid is not None
        os.kill(reader.pid, 9)

        try:
            assert reader.read(path, 100).width == 100
        except ReaderDied:  # pragma: no cover - a message for whoever breaks it
            pytest.fail("one killed child must not cost a picture")


class TestCache:
    def test_what_is_put_is_found_and_other_keys_are_not(self, tmp_path: Path) -> None:
        cache = PictureCache(tmp_path / "thumbnails")
        cache.put(("abc", 320), b"\xff\xd8\xff picture\xff\xd9")

        assert cache.get(("abc", 320)) == b"\xff\xd8\xff picture\xff\xd9"
        assert cache.get(("abc", 640)) is None

    def test_the_least_recently_used_go_first(self, tmp_path: Path) -> None:
        cache = PictureCache(tmp_path, most_bytes=10_000)
        for number in range(12):
            cache.put(number, b"\xff\xd8\xff" + b"x" * 995 + b"\xff\xd9")
            os.utime(cache._path(number), (number, number))
        cache.get(0)

        cache.prune()

        assert [number for number in range(12) if cache.get(number) is not None] == [0, *range(5, 12)]

    def test_a_picture_that_is_not_whole_is_drawn_again(self, tmp_path: Path) -> None:
        cache = PictureCache(tmp_path)
        for key, content in (("zeros", bytes(50)), ("half", b"\xff\xd8\xff half")):
            cache.put(key, b"\xff\xd8\xff picture\xff\xd9")
            cache._path(key).write_bytes(content)
            assert cache.get(key) is None
        cache._path("zeros").unlink()
        os.mkfifo(cache._path("zeros"))
        assert cache.get("zeros") is None

    def test_what_cannot_be_removed_does_not_hinder_the_rest(self, tmp_path: Path) -> None:
        cache = PictureCache(tmp_path, most_bytes=1)
        for number in range(3):
            cache.put(number, b"x" * 1000)
        cache._path(0).unlink()
        cache._path(0).mkdir()
        part = cache._path(1).with_name(f".{cache._path(1).name}.77")  # of a program that was killed
        part.write_bytes(b"x")

        cache.prune()

        assert [each for each in tmp_path.rglob("*") if each.is_file()] == []

    def test_a_folder_that_cannot_be_written_is_no_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        cache = PictureCache(tmp_path / "file" / "below")

        cache.put("a", b"x")

        assert cache.get("a") is None


def _png_claiming(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, format="PNG")
    content = bytearray(file.getvalue())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)
