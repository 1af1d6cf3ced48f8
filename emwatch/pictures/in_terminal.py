"""Pictures in a terminal: by the protocols of kitty, iTerm2 and sixel if it has one, else as half blocks of colour."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Protocol = Literal["kitty", "iterm2", "sixel", "blocks"]

#: The pixels of a character cell, where the terminal does not tell.
CELL_PX: Final = (8, 16)
_CHUNK: Final = 4096
_GREYS: Final = 16  # of a sixel picture
_BAND: Final = 6  # rows of pixels in a row of sixels
#: The 24 greys of terminals with 256 colours.
_FIRST_GREY, _NUMBER_OF_GREYS = 232, 24


def protocol(environ: Mapping[str, str], attributes: str = "") -> Protocol:
    """Return how a terminal shows pictures; ``attributes``: its answer to DA1 (``ESC [ c``), in which 4 stands for sixel."""
    if not any(environ.get(name) for name in ("TMUX", "STY")):  # these pass no pictures on
        if environ.get("KITTY_WINDOW_ID") or environ.get("TERM_PROGRAM") == "ghostty":
            return "kitty"
        if environ.get("TERM_PROGRAM") in {"iTerm.app", "WezTerm"}:
            return "iterm2"
    return "sixel" if "4" in attributes.strip("\x1b[?c").split(";")[1:] else "blocks"


def drawn(
    jpeg: bytes,
    how: Protocol,
    columns: int,
    rows: int,
    *,
    true_colour: bool = True,
    cell_px: tuple[int, int] = CELL_PX,
) -> str:
    """Return what shows a picture within ``columns`` and ``rows`` of character cells from the cursor on."""
    with Image.open(io.BytesIO(jpeg)) as opened:
        image = opened.convert("L")
    columns, rows = _fitting(image.size, columns, rows, cell_px)
    if how == "kitty":
        return _kitty(image, columns, rows)
    if how == "iterm2":
        inside = base64.b64encode(jpeg).decode("ascii")
        return f"\x1b]1337;File=inline=1;width={columns};height={rows};preserveAspectRatio=1:{inside}\x07"
    if how == "sixel":
        return _sixel(np.asarray(image.resize((columns * cell_px[0], rows * cell_px[1]))))
    return _blocks(np.asarray(image.resize((columns, 2 * rows), Image.Resampling.BOX)), true_colour=true_colour)


def _fitting(size: tuple[int, int], columns: int, rows: int, cell_px: tuple[int, int]) -> tuple[int, int]:
    """Return how many cells of a space a picture takes up without being stretched."""
    width, height = columns * cell_px[0], rows * cell_px[1]
    scale = min(width / size[0], height / size[1])
    return (
        max(1, min(columns, round(size[0] * scale / cell_px[0]))),
        max(1, min(rows, round(size[1] * scale / cell_px[1]))),
    )


def _kitty(image: Image.Image, columns: int, rows: int) -> str:
    png = io.BytesIO()
    image.save(png, "PNG")
    inside = base64.b64encode(png.getvalue()).decode("ascii")
    chunks = [inside[at : at + _CHUNK] for at in range(0, len(inside), _CHUNK)]
    keys = [f"a=T,f=100,q=2,c={columns},r={rows},m={int(len(chunks) > 1)}"]
    keys += [f"m={int(at < len(chunks) - 1)}" for at in range(1, len(chunks))]
    # What was shown before is removed: it stands on a layer of its own.
    return "\x1b_Ga=d,q=2\x1b\\" + "".join(f"\x1b_G{key};{each}\x1b\\" for key, each in zip(keys, chunks, strict=True))


def _sixel(pixels: npt.NDArray[np.uint8]) -> str:
    height, width = pixels.shape
    levels = np.full((-(-height // _BAND) * _BAND, width), _GREYS, dtype=np.int16)  # beyond the picture: no colour
    levels[:height] = pixels.astype(np.int16) * _GREYS // 256
    percents = [round(100 * level / (_GREYS - 1)) for level in range(_GREYS)]
    parts = [f'\x1bPq"1;1;{width};{height}', *(f"#{level};2;{p};{p};{p}" for level, p in enumerate(percents))]
    bits = (1 << np.arange(_BAND))[:, np.newaxis]
    for top in range(0, height, _BAND):
        band = levels[top : top + _BAND]
        for level in np.unique(band[band < _GREYS]):
            codes = (((band == level) * bits).sum(axis=0) + 63).astype(np.uint8)
            parts.append(f"#{level}{codes.tobytes().decode('ascii')}$")
        parts.append("-")
    return "".join([*parts, "\x1b\\"])


def _blocks(pixels: npt.NDArray[np.uint8], *, true_colour: bool) -> str:
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            f"\x1b[38;{_grey(a, true_colour)};48;{_grey(b, true_colour)}m▀" for a, b in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\r\n".join(lines)


def _grey(value: Any, true_colour: bool) -> str:
    if true_colour:
        return f"2;{value};{value};{value}"
    return f"5;{_FIRST_GREY + int(value) * _NUMBER_OF_GREYS // 256}"
