"""Stacked bars in a terminal: each part has a letter and a colour, so that they can be told apart without colours."""

from __future__ import annotations

import shutil
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import click

from emwatch.cli.terminal.display import is_terminal, wants_colour

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The letter of each part; no two are the same.
_LETTERS: Final = {
    "Biological": "B",
    "Fibres": "F",
    "Films_Coated_Surface": "C",
    "MEMS_devices_and_electrodes": "M",
    "Nanowires": "N",
    "Particles": "P",
    "Patterned_surface": "S",
    "Porous_Sponge": "O",
    "Powder": "W",
    "Tips": "T",
    "certain": "#",
    "uncertain": "?",
    "failed": "x",
    "frames": "#",
}
_NARROWEST: Final = 40


def print_bars(bars: Sequence[tuple[str, Mapping[str, int]]], parts: Sequence[str], colours: Mapping[str, str]) -> None:
    """Print a bar for each label, with its number, and below them what the letters mean."""
    width = max(_NARROWEST, shutil.get_terminal_size().columns if is_terminal(sys.stdout) else 80)
    label_width = max(len(label) for label, _ in bars)
    numbers = [f"{sum(counts.values()):,}" for _, counts in bars]
    number_width = max(len(each) for each in numbers)
    room = width - label_width - number_width - 3
    most = max(1, *(sum(counts.values()) for _, counts in bars))
    for (label, counts), number in zip(bars, numbers, strict=True):
        drawn = "".join(
            _styled(_LETTERS[part] * cells, colours[part])
            for part, cells in zip(parts, _cells([counts.get(each, 0) for each in parts], room / most), strict=True)
        )
        click.echo(f"{label:>{label_width}} {number:>{number_width}} {drawn}", color=wants_colour())
    if parts != ["frames"]:
        for line in _legend(parts, width):
            click.echo("  ".join(_styled(text, colours[part]) for part, text in line), color=wants_colour())


def _legend(parts: Sequence[str], width: int) -> list[list[tuple[str, str]]]:
    """Return parts with what their letters mean, in lines that fit."""
    lines: list[list[tuple[str, str]]] = [[]]
    for part in parts:
        text = f"{_LETTERS[part]} {part.replace('_', ' ')}"
        if lines[-1] and sum(len(each) + 2 for _, each in lines[-1]) + len(text) > width:
            lines.append([])
        lines[-1].append((part, text))
    return lines


def _cells(counts: Sequence[int], per_frame: float) -> list[int]:
    """Return how many characters each part takes; rounding never makes a bar longer than all of it together."""
    ends = [0]
    total = 0
    for count in counts:
        total += count
        ends.append(round(total * per_frame))
    return [end - start for start, end in pairwise(ends)]


def _styled(text: str, colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return click.style(text, fg=(red, green, blue)) if text else ""
