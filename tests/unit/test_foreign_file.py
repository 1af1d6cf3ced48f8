"""What somebody else may have written is read within bounds, or refused with one kind of error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from emwatch.classify.bundles.pointer import Pointer
from emwatch.foreign_file import parse_json, read_bounded
from emwatch.readers.sandbox.wire import GarbledError, receive

if TYPE_CHECKING:
    from pathlib import Path

DEEP = b"[" * 200_000


@pytest.mark.timeout(20)
def test_only_regular_files_of_at_most_so_many_bytes_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")

    for name in ("pipe", "zero", "."):
        with pytest.raises(ValueError, match="not a regular file"):
            read_bounded(tmp_path / name, 5)
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read_bounded(tmp_path / "file", 4)
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "none", 5)
    assert read_bounded(tmp_path / "link", 5) == b"12345"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (DEEP, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"1" * 4000, "4000 digits"),
        (b"-Infinity", "-Infinity"),
        (b'{"version": 1e999}', "1e999"),
        (b'["\\udfff"]', "surrogates"),
        (b"\xff", "utf-8"),
        (b"", "Expecting value"),
    ],
)
def test_json_that_cannot_be_used_is_one_kind_of_error(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(content)


def test_json_that_emwatch_writes_is_read_as_it_was() -> None:
    assert parse_json(b'{"text": "\\ud83d\\ude00 \\u00b5m", "ns": 18446744073709551616}') == {
        "text": "\N{GRINNING FACE} \N{MICRO SIGN}m",
        "ns": 1 << 64,
    }


def test_a_pointer_or_a_message_nested_too_deeply_is_refused_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        Pointer.from_json(DEEP)
    (tmp_path / "message").write_bytes(len(DEEP).to_bytes(4, "big") + bytes(4) + DEEP)
    with (tmp_path / "message").open("rb") as stream, pytest.raises(GarbledError, match="nested too deeply"):
        receive(stream)
