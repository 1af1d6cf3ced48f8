"""Parameter types of the command line: numbers, ranges such as ``5k..20k``, times such as ``2h``."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.frame import CATEGORIES, Window
from emwatch.units import parse_range

if TYPE_CHECKING:
    from datetime import datetime

    _WindowType = click.ParamType[Window]
    _TextType = click.ParamType[str]
else:
    _WindowType = _TextType = click.ParamType  # takes no type argument at run time in older click

#: Of 64 bits with a sign, as both databases have them, with room for one more.
_LARGEST: Final = 2**62
#: How Python hands over a byte of an argument that is not UTF-8.
_BYTE: Final = re.compile("[\udc80-\udcff]")


class Number(click.FloatRange):
    """A number in a range; "nan" and "inf", which are numbers to Python, are none to people."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the text as a finite number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number to work with", param, ctx)
        return number


class Category(click.Choice[str]):
    """One of the ten categories, in any case; the error for another word lists all ten."""

    def __init__(self) -> None:
        super().__init__(CATEGORIES, case_sensitive=False)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's signature
        """Return the message with all categories: click would print them in lower case."""
        return f"{value!r} is not one of {', '.join(CATEGORIES)}"


def spelled(text: str) -> str:
    r"""Return a text of the command line as the ledger spells it: a byte that is not UTF-8 is ``\xff``, as in paths."""
    return _BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)


class Words(_TextType):
    """Text that is kept in the ledger or looked for in it; a terminal that is not set to UTF-8 sends other bytes."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's signature
        """Return the text as the ledger spells it."""
        return spelled(str(value))


class Asked(Words):
    """Text that is looked for; an empty one would mean all there is: it comes from a variable that is not set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as the ledger spells it."""
        if not str(value).strip():
            self.fail("is empty; was it meant to come from a variable that is not set?", param, ctx)
        return super().convert(value, param, ctx)


class Whole(click.IntRange):
    """A number of rows, or of one row, that a database can hold."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the text as a number."""
        number: int = super().convert(value, param, ctx)
        if number > _LARGEST:
            self.fail(f"{value} is larger than any number of the ledger", param, ctx)
        return number


class Range(_WindowType):
    """``LO..HI``, ``LO..`` or ``..HI``, ends included; k and M stand for thousand and million."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Window:
        """Return the text as a window."""
        if isinstance(value, Window):
            return value
        try:
            return Window(*parse_range(str(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def moment(text: str | None, now: datetime, *, option: str, end: bool = False) -> datetime | None:
    """Return the time that a text means; a text that is none is a usage error naming the option."""
    from emwatch.ledger.times import parse_when

    if text is None:
        return None
    try:
        return parse_when(text, now, end=end)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"'{option}'") from error
