"""Values as people type them on the command line: numbers, ranges such as ``5k..20k``, moments such as ``2h``."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import click

from emwatch.frame import CATEGORIES, Window

if TYPE_CHECKING:
    from datetime import datetime

    _WindowType = click.ParamType[Window]
else:
    _WindowType = click.ParamType  # takes no type argument at run time in older click

_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([kKM]?)[xX]?")
_FACTORS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}


class Number(click.FloatRange):
    """A number in a range; "nan" and "inf", which are numbers to Python, are none to people."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Turn the text into a finite number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number to work with", param, ctx)
        return number


class Category(click.Choice[str]):
    """One of the ten categories, in whatever case; a wrong one is told with all ten as they are written."""

    def __init__(self) -> None:
        super().__init__(CATEGORIES, case_sensitive=False)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's signature
        """Say which there are: click would print them in lower case."""
        return f"{value!r} is not one of {', '.join(CATEGORIES)}"


class Range(_WindowType):
    """``LO..HI``, ``LO..`` or ``..HI``, ends included; k and M stand for thousand and million."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Window:
        """Turn the text into a window."""
        if isinstance(value, Window):
            return value
        low_text, dots, high_text = str(value).strip().partition("..")
        if not dots or not (low_text.strip() or high_text.strip()):
            self.fail(f"{value!r}: write LO..HI, LO.. or ..HI, for example 5k..20k", param, ctx)
        low, high = self._number(low_text, param, ctx), self._number(high_text, param, ctx)
        if low is not None and high is not None and low > high:
            self.fail(f"{value!r}: the low end is above the high end", param, ctx)
        return Window(low, high)

    def _number(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if not text.strip():
            return None
        found = _NUMBER.fullmatch(text.strip())
        if found is None:
            self.fail(f"{text!r} is not a number such as 52, 2.5 or 20k", param, ctx)
        number = float(found[1]) * _FACTORS[found[2]]
        if not math.isfinite(number):
            self.fail(f"{text!r} is too large a number", param, ctx)
        return number


def moment(text: str | None, now: datetime, *, option: str, end: bool = False) -> datetime | None:
    """Turn a word for a moment into the moment; a word that is none is a usage error naming the option."""
    from emwatch.ledger.times import parse_when

    if text is None:
        return None
    try:
        return parse_when(text, now, end=end)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"'{option}'") from error
