"""Text beside a frame: only from its folder, only so much, whatever its encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emwatch.readers.header_text import decode_text, find_sidecar
from emwatch.readers.raw_frame import RawFrame, TextBeside, sidecar_beside

if TYPE_CHECKING:
    from pathlib import Path


def _frame(path: Path) -> RawFrame:
    return RawFrame(path, b"", "TIFF", 1, 1, sidecar=sidecar_beside(path))


def _data(beside: TextBeside | None) -> bytes | None:
    return None if beside is None else beside.data


def _any(_text: str) -> bool:
    return True


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_ascii_text_is_read_in_every_encoding(encoding: str) -> None:
    text = "[SemImageFile]\r\nMagnification=1200\r\n"

    assert decode_text(text.encode(encoding), "cp932") == text


def test_text_that_is_not_unicode_is_read_in_the_vendors_own_encoding() -> None:
    assert decode_text("名前=タンポポ".encode("cp932"), "cp932") == "名前=タンポポ"


def test_bytes_of_no_encoding_are_replaced_and_cost_nothing_else() -> None:
    assert decode_text(b"a=\xff\xff\nb=2", "cp932").endswith("\nb=2")


def test_a_sidecar_is_found_beside_the_frame_and_with_a_suffix_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "frame.TXT").write_text("text", encoding="ascii")

    found = find_sidecar(_frame(tmp_path / "frame.tif"), ["frame.txt"], "ascii", _any)

    assert found is not None
    assert (found[0].identity.name, found[1]) == ("frame.TXT", "text")


def test_an_operators_note_is_no_sidecar(tmp_path: Path) -> None:
    (tmp_path / "frame.txt").write_text("remember the milk", encoding="ascii")

    assert find_sidecar(_frame(tmp_path / "frame.tif"), ["frame.txt"], "ascii", lambda text: "$CM_" in text) is None


@pytest.mark.parametrize("name", ["../secret.txt", "sub/secret.txt", "", "..", "a\x00b"])
def test_a_name_that_leads_elsewhere_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret", encoding="ascii")
    (tmp_path / "in" / "sub" / "secret.txt").write_text("secret", encoding="ascii")

    assert sidecar_beside(tmp_path / "in" / "frame.tif")(name) is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.txt").write_text("secret", encoding="ascii")
    (tmp_path / "in" / "frame.txt").symlink_to(tmp_path / "secret.txt")

    assert sidecar_beside(tmp_path / "in" / "frame.tif")("frame.txt") is None


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("text", encoding="ascii")
    (tmp_path / "frame.txt").symlink_to("other.txt")

    assert _data(sidecar_beside(tmp_path / "frame.tif")("frame.txt")) == b"text"


def test_a_link_to_itself_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "frame.txt").symlink_to("frame.txt")

    assert sidecar_beside(tmp_path / "frame.tif")("frame.txt") is None


def test_a_folder_is_no_sidecar(tmp_path: Path) -> None:
    (tmp_path / "frame.txt").mkdir()

    assert sidecar_beside(tmp_path / "frame.tif")("frame.txt") is None


def test_more_than_a_mebibyte_is_no_sidecar(tmp_path: Path) -> None:
    (tmp_path / "frame.txt").write_bytes(b"x" * (1024 * 1024 + 1))
    (tmp_path / "whole.txt").write_bytes(b"x" * (1024 * 1024))
    lookup = sidecar_beside(tmp_path / "frame.tif")

    assert (lookup("frame.txt"), len(_data(lookup("whole.txt")) or b"")) == (None, 1024 * 1024)


def test_each_name_is_read_once(tmp_path: Path) -> None:
    lookup = sidecar_beside(tmp_path / "frame.tif")
    first = lookup("frame.txt")
    (tmp_path / "frame.txt").write_text("late", encoding="ascii")

    assert (first, lookup("frame.txt")) == (None, None)
