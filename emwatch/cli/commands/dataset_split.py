"""``emwatch dataset split``: who learns, who steers, who judges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.commands.dataset_describe import looked_at
from emwatch.cli.options import AnyPath, json_option, logging_options
from emwatch.cli.terminal.display import Column, print_json, print_table, printable, tell_warning
from emwatch.cli.train_options import seed_option
from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.train.dataset.labelled import LabelledFrame, Part
    from emwatch.train.dataset.survey import Look

_LEAK: Final = (
    "split at random: one session may be in training and validation, so the figures show how well the model remembers "
    "sessions, not how well it does on the next one"
)


class _Shares(click.ParamType[tuple[float, ...]]):
    """Three whole per cents that make a hundred."""

    name = "shares"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Read ``70/20/10``."""
        if isinstance(value, tuple):
            return value
        try:
            shares = tuple(float(each) for each in value.split("/"))
        except ValueError:
            shares = ()
        if len(shares) != 3 or min(shares) < 0 or not abs(sum(shares) - 100) < 1e-6:  # "nan" neither is nor is not
            self.fail(f"{value!r}: expected three per cents that make 100, such as 70/20/10", param, ctx)
        return tuple(share / 100 for share in shares)


@click.command(short_help="Split a dataset into training, validation and test.")
@click.argument("dataset", metavar="DATASET", type=AnyPath())
@click.option("--out", required=True, metavar="FILE", type=AnyPath(), help="Write the manifest to this file.")
@click.option(
    "--shares",
    default="70/20/10",
    show_default=True,
    metavar="T/V/E",
    type=_Shares(),
    help="Percentages of the three parts.",
)
@click.option(
    "--random", "at_random", is_flag=True, help="Split file by file, as is often done; scores are then optimistic."
)
@click.option("--leave-out", is_flag=True, help="Leave out frames that are unreadable or in two categories.")
@seed_option("The same seed gives the same split.")
@json_option
@logging_options
def split(
    dataset: Path,
    out: Path,
    shares: tuple[float, float, float],
    at_random: bool,
    leave_out: bool,
    seed: int,
    as_json: bool,
) -> None:
    """
    Split a dataset into training, validation and test, category by category, and write a manifest.

    Nothing is copied or moved: the manifest is a table that every command accepts as a DATASET. Frames of one source
    stay in one part, and so do near duplicates and frames of the same instrument and day. The source is taken from the
    table; without it, it is a folder below the category's, or a series of names that differ in their last number.
    An existing manifest is replaced; any other file is not.
    """
    from emwatch.train.dataset.check import checked
    from emwatch.train.dataset.labelled import check_manifest, open_dataset, write_manifest
    from emwatch.train.dataset.split import split_frames
    from emwatch.train.dataset.survey import likeness

    check_manifest(out)
    looks = checked(looked_at(open_dataset(dataset)), tell_warning, leave_out=leave_out)
    alike = likeness(looks)
    frames = [look.frame for look in looks]
    left_out = set() if at_random else alike.repeats
    if at_random:
        tell_warning(_LEAK)
    parts = split_frames(frames, shares, seed, "random" if at_random else "source", alike.together)
    divided = [
        replace(frame, part=part, near_duplicate=frame.near_duplicate or number in left_out)
        for number, (frame, part) in enumerate(zip(frames, parts, strict=True))
    ]
    write_manifest(out, divided, {"sha256": [look.sha256 for look in looks]})
    document = _document(out, looks, divided)
    for name, facts in document["categories"].items():
        if missing := [
            part for part, share in zip(facts["parts"], shares, strict=True) if share and not facts["parts"][part]
        ]:
            tell_warning(f"{name} has too few sources ({facts['sources']}): none of it is in {' or '.join(missing)}")
    if as_json:
        print_json(document)
    else:
        _print(document)


def _document(out: Path, looks: list[Look], frames: list[LabelledFrame]) -> dict[str, Any]:
    from emwatch.train.dataset.labelled import Part

    def counts(mine: list[LabelledFrame]) -> dict[str, Any]:
        parts = {part.value: sum(frame.part is part for frame in mine) for part in Part}
        return {"frames": len(mine), "sources": len({frame.source for frame in mine}), "parts": parts}

    return {
        "manifest": out,
        "frames": len(looks),
        "near_duplicates": sum(frame.near_duplicate for frame in frames),
        **counts(frames),
        "categories": {
            name: counts([frame for frame in frames if frame.category == index])
            for index, name in enumerate(CATEGORIES)
        },
    }


def _print(document: dict[str, Any]) -> None:
    columns = [Column("Category", whole=True), Column("Sources", align="right"), Column("Frames", align="right")]
    columns += [Column(part.capitalize(), align="right") for part in document["parts"]]
    rows = [_row(name, facts) for name, facts in document["categories"].items()]
    print_table(columns, [*rows, _row("all", document)])
    repeated = document["near_duplicates"]
    note = f"; {repeated:,} near duplicates are marked, and not learned from" if repeated else ""
    click.echo(f"manifest written: {printable(document['manifest'])}{note}", err=True)


def _row(name: str, facts: dict[str, Any]) -> list[str]:
    parts: dict[Part, int] = facts["parts"]
    return [name, *(f"{facts[key]:,}" for key in ("sources", "frames")), *(f"{count:,}" for count in parts.values())]
