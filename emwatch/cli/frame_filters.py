"""The filters of ``emwatch log``, for every command that selects recorded frames."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.parameter_types import Category, Number, Range
from emwatch.clock import SystemClock
from emwatch.frame import FrameState, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from emwatch.cli.options import Command
    from emwatch.ledger.query import LogFilter

_OPTIONS: Final = (
    click.option(
        "--category",
        "categories",
        multiple=True,
        metavar="NAME",
        type=Category(),
        help="Frames of this category; can be repeated.",
    ),
    click.option("--target", metavar="NAME", help="Frames that met this target."),
    click.option("--hits", is_flag=True, help="Frames that met any target."),
    click.option("--min-probability", metavar="P", type=Number(0, 1), help="Lowest probability, 0 to 1."),
    click.option("--max-probability", metavar="P", type=Number(0, 1), help="Highest probability, 0 to 1."),
    click.option(
        "--magnification",
        metavar="LO..HI",
        type=Range(),
        help="Magnification in this range: 5k..20k, 1000.. or ..5000.",
    ),
    click.option("--tilt", metavar="LO..HI", type=Range(), help="Stage tilt in this range, in degrees."),
    click.option("--working-distance", metavar="LO..HI", type=Range(), help="Working distance in this range, in mm."),
    click.option("--voltage", metavar="LO..HI", type=Range(), help="Accelerating voltage in this range, in kV."),
    click.option("--pixel-size", metavar="LO..HI", type=Range(), help="Pixel size in this range, in nm."),
    click.option("--field-width", metavar="LO..HI", type=Range(), help="Width of the field of view, in µm."),
    click.option("--stage-x", metavar="LO..HI", type=Range(), help="Stage position x, in mm; with --stage-y a box."),
    click.option("--stage-y", metavar="LO..HI", type=Range(), help="Stage position y, in mm."),
    click.option("--margin", metavar="LO..HI", type=Range(), help="Lead over the second likeliest category, 0 to 1."),
    click.option("--novelty", metavar="LO..HI", type=Range(), help="Distance from what the model was taught."),
    click.option("--instrument", metavar="GLOB", help="By the name of the instrument."),
    click.option("--operator", metavar="GLOB", help="By the operator in the metadata."),
    click.option("--detector", metavar="GLOB", help="By the detector."),
    click.option("--day", metavar="DAYS", help="Recorded on a day, or on days: 2026-11-20, 2026-11-20..22, yesterday."),
    click.option("--since", metavar="WHEN", help="Recorded since: 2h, 30m, 3d, today, yesterday, 14:30, an ISO time."),
    click.option("--until", metavar="WHEN", help="Recorded until; a day means its end."),
    click.option("--session", metavar="WHICH", help='A session by its name or number, or "last".'),
    click.option("--path", "glob", metavar="GLOB", help='By file name, or by the whole path if there is a "/" in it.'),
    click.option("--text", metavar="WORDS", help="All these words in path, notes or metadata; wafer* is a beginning."),
    click.option(
        "--where", metavar="SQL", help="An SQL expression over the columns of v_log, as in emwatch docs ledger."
    ),
    click.option("--alerted", is_flag=True, help="Frames of which an alert was delivered."),
    click.option("--reviewed", is_flag=True, help="Frames that somebody reviewed."),
    click.option("--uncertain", is_flag=True, help="Frames of which the model is uncertain."),
)


def frame_filters(command: Command) -> Command:
    """Add the filters to a command; a frame must meet all of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def filter_of(asked: Mapping[str, Any], states: tuple[FrameState, ...] = (FrameState.RECORDED,)) -> LogFilter:
    """Return the filter that the options mean. Raises click's usage error if a time cannot be read."""
    from emwatch.ledger.asking import RANGES, QuestionError, period
    from emwatch.ledger.filters import LogFilter
    from emwatch.ledger.full_text import match_expression

    now = SystemClock().now()
    try:
        since, until = period(asked, now)
        if asked["text"] is not None:
            match_expression(asked["text"])
    except QuestionError as error:
        raise click.BadParameter(str(error), param_hint=f"'--{error.key}'") from error
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--text'") from error
    low, high = asked["min_probability"], asked["max_probability"]
    return LogFilter(
        categories=asked["categories"],
        target=asked["target"],
        hits=True if asked["hits"] else None,
        probability=None if low is None and high is None else Window(low, high),
        **{attribute: asked[name] for name, attribute in RANGES.items()},
        since=since,
        until=until,
        session=asked["session"],
        asked_at=now,
        states=states,
        uncertain=True if asked["uncertain"] else None,
        reviewed=True if asked["reviewed"] else None,
        alerted=True if asked["alerted"] else None,
        instrument=asked["instrument"],
        operator=asked["operator"],
        detector=asked["detector"],
        text=asked["text"],
        where=asked["where"],
        path=asked["glob"],
    )


@contextmanager
def asked_of_ledger() -> Iterator[None]:
    """Turn what the ledger refuses in a filter, such as SQL that is none, into click's usage error."""
    from emwatch.ledger.asking import QuestionError

    try:
        yield
    except QuestionError as error:
        raise click.BadParameter(str(error), param_hint=f"'--{error.key}'") from error
