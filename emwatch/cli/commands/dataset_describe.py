"""``emwatch dataset describe``: what a dataset holds, and what is wrong with it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, json_option, load_config, logging_options
from emwatch.cli.terminal.display import Column, counted, print_json, print_table, printable, wants_colour
from emwatch.cli.terminal.progress import counting
from emwatch.units import number_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from emwatch.frame import FrameReading
    from emwatch.train.dataset.labelled import LabelledFrame
    from emwatch.train.dataset.survey import Look

_COLUMNS = (
    Column("Category", whole=True),
    Column("Frames", align="right"),
    Column("Sources", align="right"),
    Column("Median magnification", align="right"),
)

#: Of sizes, makers and groups of duplicates so many are shown; --json has all.
_SHOWN = 6


@click.command(short_help="Show what a dataset holds and what is wrong with it.")
@click.argument("dataset", metavar="DATASET", type=AnyPath())
@click.option("--plate", metavar="FILE", type=AnyPath(), help="Draw examples of each category into this PNG file.")
@click.option("--data-bar", is_flag=True, help="Read the magnification from the data bar if the file has none.")
@json_option
@logging_options
def describe(dataset: Path, plate: Path | None, data_bar: bool, as_json: bool) -> None:
    """
    Show what a dataset holds: categories, sizes, vendors, magnifications, duplicates and problems.

    Every file is read once, as the daemon reads it. Near duplicates are frames that look the same but have different
    bytes. The exit code is 4 if a problem would prevent training, 3 if there are no frames.
    """
    from emwatch.train.dataset.describe import description
    from emwatch.train.dataset.labelled import open_dataset
    from emwatch.train.dataset.survey import likeness

    looks = looked_at(open_dataset(dataset), data_bar=data_bar)
    document = {"dataset": dataset, **description(looks, likeness(looks))}
    if plate is not None and looks:
        from emwatch.report.plate import example_plate

        plate.write_bytes(example_plate(looks))
        click.echo(f"examples drawn: {printable(plate)}", err=True)
    if as_json:
        print_json(document)
    elif looks:
        _print(document)
    else:
        print_troubles(document["troubles"])
    if not looks:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)
    if any(trouble["stops"] for trouble in document["troubles"]):
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def looked_at(frames: Sequence[LabelledFrame], *, data_bar: bool = False) -> list[Look]:
    """Look at every frame, with a bar on stderr."""
    from emwatch.train.dataset.survey import look_at

    with bars_for(data_bar) as complete, counting("looking at frames", len(frames)) as tell:
        return look_at(frames, tell, complete)


@contextmanager
def bars_for(data_bar: bool) -> Iterator[Callable[[FrameReading], FrameReading] | None]:
    """Yield a function that adds the data bar's values to a reading, if asked for. Raises `ConfigError` without ocr."""
    if not data_bar:
        yield None
        return
    from emwatch.cli.commands.bars import DataBars, with_bar
    from emwatch.readers.sandbox.limits import bar_limits

    with DataBars(data_bar, bar_limits(load_config(None, one_shot=True))) as bars:
        yield lambda reading: with_bar(reading, bars.read(reading))


def _print(document: dict[str, Any]) -> None:
    click.secho(
        f"{counted(document['frames'], 'frame')} of {counted(document['sources'], 'source')}",
        bold=True,
        color=wants_colour(),
    )
    print_table(_COLUMNS, [_row(name, facts) for name, facts in document["categories"].items()])
    click.echo()
    for title, name in (("Sizes", "sizes_px"), ("Kinds", "pixel_types"), ("Makers", "makers")):
        click.echo(f"{title}: {printable(_counts(document[name]))}")
    click.echo(f"Magnifications: {_counts(document['magnifications'], len(document['magnifications']))}")
    for title, name in (("Exact duplicates", "exact_duplicates"), ("Near duplicates", "near_duplicates")):
        _print_groups(title, document[name])
    print_troubles(document["troubles"])


def print_troubles(troubles: Sequence[dict[str, Any]]) -> None:
    """Print what is wrong, red what stops and yellow what makes figures suffer."""
    for trouble in troubles:
        files = trouble["files"]
        names = f" ({', '.join(files[:_SHOWN])}{f' and {len(files) - _SHOWN} more' if len(files) > _SHOWN else ''})"
        word = "wrong" if trouble["stops"] else "note"
        click.secho(f"{word}: ", fg="red" if trouble["stops"] else "yellow", bold=True, nl=False, color=wants_colour())
        click.echo(printable(f"{trouble['what']}{names if files else ''}: {trouble['do']}"))


def _row(name: str, facts: dict[str, Any]) -> list[str]:
    magnification = facts["median_magnification"]
    shown = "" if magnification is None else f"{number_text(magnification)}x"
    return [name, f"{facts['frames']:,}", f"{facts['sources']:,}", shown]


def _counts(counted: dict[str, int], shown: int = _SHOWN) -> str:
    parts = [f"{word} {count:,}" for word, count in counted.items()]
    more = [f"{len(parts) - shown} more"] if len(parts) > shown else []
    return ", ".join(parts[:shown] + more) or "none"


def _print_groups(title: str, groups: Sequence[Sequence[str]]) -> None:
    frames = sum(map(len, groups))
    counted = f"{frames:,} frames in {len(groups):,} group{'s' if len(groups) > 1 else ''}" if groups else "none"
    click.echo(f"{title}: {counted}")
    for group in groups[:_SHOWN]:
        click.echo(f"  {printable(' = '.join(group))}")
    if len(groups) > _SHOWN:
        click.echo(f"  and {len(groups) - _SHOWN:,} groups more (--json has all)")
