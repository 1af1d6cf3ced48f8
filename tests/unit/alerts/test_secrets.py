"""What is hidden of an alert program's complaint, and what is left so that the complaint still helps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from emwatch.alerts.secrets import Secret, hushed
from emwatch.errors import AlertError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "said", "expected"),
    [
        (["https://h.example/s/T0/B0/XyZ12345"], "404 for https://h.example/s/T0/B0/XyZ12345", "404 for https://h.example/***"),
        (["https://h.example/s/T0/B0/XyZ12345"], "/s/T0/B0/XyZ12345: not found", "***: not found"),
        (["https://h.example/s?key=XyZ12345"], "bad key XyZ12345", "bad key ***"),
        (["-o", "https://me:hunter22@h.example"], "refused by https://me:hunter22@h.example", "refused by https://h.example"),
        (["--token", "XyZ12345"], "XyZ12345 is not valid", "*** is not valid"),
        (["-u", "me:hunter22"], "me:hunter22?", "me:***?"),
        (["-H", "Authorization: Bearer XyZ12345"], "sent Bearer XyZ12345", "sent Bearer ***"),
        (["--api-key=XyZ12345"], "--api-key=XyZ12345", "--api-key=***"),
        ([], "see https://h.example/of/a/script/itself", "see https://h.example/***"),
        (["/usr/share/sounds/horn.wav"], "/usr/share/sounds/horn.wav: no such file", "/usr/share/sounds/horn.wav: no such file"),
        (["-D", "/acq/a.tif", "https://h.example/"], "curl: (6) Could not resolve host: h.example", "curl: (6) Could not resolve host: h.example"),
    ],
)  # fmt: skip
def test_secrets_are_hidden_and_the_rest_is_left(arguments: list[str], said: str, expected: str) -> None:
    assert hushed(said, arguments) == expected


@pytest.mark.timeout(20)
def test_a_secret_that_cannot_be_read_is_told_without_its_bytes_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b"x" * 100_000)
    (tmp_path / "bytes").write_bytes(b"hunter22\xff")
    (tmp_path / "good").write_text(" hunter22\n", encoding="utf-8")
    told = [Secret(file=tmp_path / name).trouble() for name in ("pipe", "long", "bytes", "none", "good")]

    reasons = ("is not a regular file", "is larger than 65,536 bytes", "is no UTF-8 text", "No such file or directory")
    assert [each.partition("cannot be read: ")[2] for each in told] == [*reasons, ""]
    assert "hunter22" not in "".join(told)
    with pytest.raises(AlertError, match="pipe"):
        Secret(file=tmp_path / "pipe").read()
    assert Secret(file=tmp_path / "good").read() == "hunter22"
