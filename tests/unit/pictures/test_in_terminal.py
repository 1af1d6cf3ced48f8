"""What a terminal is sent shows the picture: decoded again, it is the frame's."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from emwatch.pictures.in_terminal import CELL_PX, drawn, protocol

RAMP = np.tile(np.linspace(0, 255, 320, dtype=np.uint8), (240, 1))


@pytest.fixture(name="jpeg")
def _jpeg() -> bytes:
    made = io.BytesIO()
    Image.fromarray(RAMP).save(made, "JPEG", quality=95)
    return made.getvalue()


def decoded_sixels(text: str) -> npt.NDArray[np.int_]:
    """Return the greys of a sixel picture in percent, -1 where it sets none."""
    head = re.match(r'\x1bPq"1;1;(\d+);(\d+)', text)
    assert head is not None
    width, height = map(int, head.groups())
    found = np.full((height, width), -1)
    body = text[head.end() : -2]
    greys = {number: int(grey) for number, grey in re.findall(r"#(\d+);2;(\d+);\d+;\d+", body)}
    bands = re.sub(r"#\d+;2;\d+;\d+;\d+", "", body).split("-")
    for top, band in enumerate(bands[:-1]):
        for number, codes in re.findall(r"#(\d+)([?-~]+)\$", band):
            for column, code in enumerate(codes):
                for row in range(6):
                    if (ord(code) - 63) >> row & 1:
                        found[6 * top + row, column] = greys[number]
    return found


def test_sixels_show_every_pixel_within_a_grey_or_two(jpeg: bytes) -> None:
    found = decoded_sixels(drawn(jpeg, "sixel", 20, 10))

    assert found.shape == (8 * CELL_PX[1], 20 * CELL_PX[0])
    expected = np.linspace(0, 100, found.shape[1])
    assert np.abs(found - expected).max() < 8


@pytest.mark.parametrize("true_colour", [True, False])
def test_half_blocks_show_two_pixels_a_cell_and_keep_the_form(jpeg: bytes, true_colour: bool) -> None:
    lines = drawn(jpeg, "blocks", 80, 18, true_colour=true_colour).split("\r\n")

    cells = [re.findall(r"\x1b\[38;(?:2;\d+;\d+|5);(\d+);48;(?:2;\d+;\d+|5);(\d+)m▀", line) for line in lines]
    assert (len(cells), {len(row) for row in cells}) == (18, {48})
    values = np.array(cells, dtype=int)
    assert (np.diff(values[0, :, 0]) >= 0).all()
    assert values[0, -1, 0] > values[0, 0, 0]


def test_kitty_gets_a_whole_png_in_pieces_that_it_takes(jpeg: bytes) -> None:
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", drawn(jpeg, "kitty", 80, 18))

    assert max(len(each) for _, each in parts) <= 4096
    assert [keys.rpartition("m=")[2] for keys, _ in parts] == ["1"] * (len(parts) - 1) + ["0"]
    with Image.open(io.BytesIO(base64.b64decode("".join(each for _, each in parts)))) as image:
        assert (image.format, image.size) == ("PNG", (320, 240))


@pytest.mark.parametrize(
    ("environ", "attributes", "expected"),
    [
        ({"KITTY_WINDOW_ID": "3"}, "", "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "", "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "", "iterm2"),
        ({"TERM_PROGRAM": "WezTerm"}, "\x1b[?65;4;6c", "iterm2"),
        ({}, "\x1b[?62;4;22c", "sixel"),
        ({}, "\x1b[?64;1;9;15;22c", "blocks"),
        ({}, "\x1b[?62;22;4c", "sixel"),
        ({}, "", "blocks"),
        ({"TMUX": "/tmp/t", "KITTY_WINDOW_ID": "3"}, "\x1b[?1;2c", "blocks"),
        ({"TMUX": "/tmp/t"}, "\x1b[?1;2;4c", "sixel"),
    ],
)
def test_the_best_protocol_that_a_terminal_has(environ: dict[str, str], attributes: str, expected: str) -> None:
    assert protocol(environ, attributes) == expected
