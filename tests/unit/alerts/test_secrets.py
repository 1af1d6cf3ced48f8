"""What is hidden of an alert program's complaint, and what is left so that the complaint still helps."""

from __future__ import annotations

import pytest

from emwatch.alerts.secrets import hushed


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
