"""The filters of ``emwatch log``, for every command that selects recorded frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.parameter_types import Category, Number, Range, moment
from emwatch.clock import SystemClock
from emwatch.frame import FrameState, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    click.option("--since", metavar="WHEN", help="Recorded since: 2h, 30m, 3d, today, yesterday, 14:30, an ISO time."),
    click.option("--until", metavar="WHEN", help="Recorded until; a day means its end."),
    click.option("--session", metavar="WHICH", help='A session by its name or number, or "last".'),
    click.option("--path", "glob", metavar="GLOB", help='By file name, or by the whole path if there is a "/" in it.'),
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
    from emwatch.ledger.query import LogFilter

    now = SystemClock().now()
    since = moment(asked["since"], now, option="--since")
    until = moment(asked["until"], now, option="--until", end=True)
    if since is not None and until is not None and since > until:
        raise click.UsageError(
            f"--since {asked['since']} ({since.astimezone():%Y-%m-%d %H:%M:%S}) is after "
            f"--until {asked['until']} ({until.astimezone():%Y-%m-%d %H:%M:%S})"
        )
    low, high = asked["min_probability"], asked["max_probability"]
    return LogFilter(
        categories=asked["categories"],
        target=asked["target"],
        hits=True if asked["hits"] else None,
        probability=None if low is None and high is None else Window(low, high),
        magnification=asked["magnification"],
        stage_tilt_deg=asked["tilt"],
        since=since,
        until=until,
        session=asked["session"],
        asked_at=now,
        states=states,
        uncertain=True if asked["uncertain"] else None,
        reviewed=True if asked["reviewed"] else None,
        path=asked["glob"],
    )
