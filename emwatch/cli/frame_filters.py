"""The filters of ``emwatch log``, for every command that selects recorded frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.lazy import importing
from emwatch.cli.parameter_types import Asked, Category, Number, Range
from emwatch.clock import SystemClock
from emwatch.frame import FrameState
from emwatch.ledger.filter_table import FILTERS, log_filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.cli.options import Command
    from emwatch.ledger.filter_table import FilterKey
    from emwatch.ledger.query import LogFilter

_TYPES: Final[Mapping[str, click.ParamType[Any]]] = {
    "category": Category(),
    "window": Range(),
    "share": Number(0, 1),
    "text": Asked(),
    "when": Asked(),
}


def frame_filters(command: Command) -> Command:
    """Add the filters to a command; a frame must meet all of them."""
    for asked in reversed(FILTERS):
        command = _option(asked)(command)
    return command


def _option(asked: FilterKey) -> Any:
    name = f"--{asked.key.replace('_', '-')}"
    if asked.kind == "flag":
        return click.option(name, asked.key, is_flag=True, help=asked.about)
    metavar = asked.metavar or "LO..HI"
    return click.option(
        name, asked.key, multiple=asked.kind == "category", metavar=metavar, type=_TYPES[asked.kind], help=asked.about
    )


def filter_of(asked: Mapping[str, Any], states: tuple[FrameState, ...] = (FrameState.RECORDED,)) -> LogFilter:
    """Return the filter that the options mean. Raises `QuestionError` for one that makes no sense."""
    with importing():
        import emwatch.ledger.filters  # noqa: F401 - and SQLAlchemy with it
    flags = {each.key: asked[each.key] or None for each in FILTERS if each.kind == "flag"}
    return log_filter({**asked, **flags}, SystemClock().now(), states)
