"""``emwatch simulate``: a simulated microscope that draws frames and writes them as instruments do."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import click

from emwatch.cli.options import json_option, logging_options
from emwatch.cli.parameter_types import Category, Number
from emwatch.cli.terminal.display import print_json, printable
from emwatch.cli.terminal.frames import GivenFile, Tally
from emwatch.filesystem import real_path
from emwatch.frame import CATEGORIES, path_to_text, text_to_path
from emwatch.units import number_text

#: Written out, so that help needs no numpy; a test holds them against the simulator's own.
MODES: Final = ("plain", "atomic", "tmp-rename", "slow-write", "prealloc", "sidecar-late", "burst", "truncated")

#: Names for more than one vendor: the common makers in turn, and every format in turn.
SEVERAL: Final = ("mixed", "all")


def _vendor(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from emwatch.simulate.vendors import VENDORS

    if value not in (*VENDORS, *SEVERAL):
        raise click.BadParameter(f"{value!r} is not one of {', '.join((*VENDORS, *SEVERAL))}", context, parameter)
    return value


@click.command(short_help="Simulate a microscope: draw and write frames.")
@click.option(
    "--out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Write frames to this directory."
)
@click.option(
    "--frames", metavar="N", type=click.IntRange(min=1), default=10, show_default=True, help="Number of frames."
)
@click.option(
    "--rate",
    metavar="F",
    type=Number(min=0),
    default=1.0,
    show_default=True,
    help="Frames per second; 0: as fast as they can be drawn.",
)
@click.option(
    "--mode", type=click.Choice(MODES), default="plain", show_default=True, help="How a file gets into the directory."
)
@click.option(
    "--vendor",
    metavar="NAME",
    default="zeiss",
    show_default=True,
    callback=_vendor,
    help="The format: zeiss, thermofisher, tescan, hitachi, jeol, ...; mixed: the common vendors in turn; "
    "all: every format in turn.",
)
@click.option(
    "--seed",
    metavar="S",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed draws the same frames.",
)
@click.option(
    "--category",
    "categories",
    metavar="NAME",
    multiple=True,
    type=Category(),
    help="Draw only this category; can be repeated.",
)
@click.option(
    "--first-number",
    metavar="N",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Number in the name of the first file.",
)
@click.option(
    "--manifest",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the true values of each frame to this file; default: DIR.manifest.ndjson beside DIR.",
)
@json_option
@logging_options
def simulate(as_json: bool, categories: tuple[str, ...], **given: Any) -> None:
    """
    Simulate a microscope: draw frames of the ten categories and write them with a vendor's metadata.

    Modes are the ways in which frames appear on acquisition PCs: plain; atomic and tmp-rename (written elsewhere or
    as .tmp, then renamed); slow-write (in small pieces); prealloc (full size first, content later); sidecar-late; burst
    (all at once); truncated (every fifth stays incomplete). The manifest has one JSON object per line: file, sha256,
    category, magnification, tilt and the rest.
    """
    # Imported here, because drawing needs numpy and help does not.
    from emwatch.simulate.microscope import Microscope

    began_s = time.monotonic()
    out: Path = given.pop("out")
    frames: int = given.pop("frames")
    if not real_path(out).name and given["manifest"] is None:  # beside the root of a disk there is nothing
        raise click.BadParameter("it is the root of a disk: name a folder, or the manifest", param_hint="'--out'")
    microscope = Microscope(out.absolute(), frames, categories=categories or None, **given)
    tally = Tally(frames)
    drawn: Counter[str] = Counter()
    cut = 0
    for truth in microscope.run():
        tally.next(GivenFile(text_to_path(truth.path)))
        drawn[truth.category] += 1
        cut += not truth.complete
    tally.clear()
    seconds = time.monotonic() - began_s
    summary = {
        "out": path_to_text(microscope.out),
        "manifest": path_to_text(microscope.manifest),
        "frames": drawn.total(),
        "truncated": cut,
        "categories": {name: drawn[name] for name in CATEGORIES if drawn[name]},
        "seconds": round(seconds, 3),
    }
    if as_json:
        print_json(summary)
    else:
        pace = f"{number_text(drawn.total() / seconds)}/s"
        shortened = f", {cut} of them cut short" if cut else ""
        click.echo(f"{drawn.total()} frames in {printable(microscope.out)} ({pace}{shortened})")
        click.echo(f"the truth about them: {printable(microscope.manifest)}")
