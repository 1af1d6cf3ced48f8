"""The filter in a page's address: the same questions as `emwatch log`, in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emwatch.errors import QuestionError
from emwatch.frame import FrameState
from emwatch.ledger.filter_table import FILTERS as EVERY_FILTER
from emwatch.ledger.filter_table import log_filter

if TYPE_CHECKING:
    from datetime import datetime

    from werkzeug.datastructures import MultiDict

    from emwatch.ledger.filters import LogFilter

#: What may stand in an address beside the filters.
PAGING: Final = frozenset({"before", "limit"})
#: Not SQL: whoever may open the page need not be allowed to keep the machine busy.
FILTERS: Final = tuple(each for each in EVERY_FILTER if each.key != "where")
KEYS: Final = frozenset({*(each.key for each in FILTERS), "state"})
_STATES: Final = {
    "": (FrameState.RECORDED, FrameState.FAILED),
    "recorded": (FrameState.RECORDED,),
    "failed": (FrameState.FAILED,),
    "all": tuple(FrameState),
}


class FilterError(ValueError):
    """A filter that makes no sense; the message names the key, what was found and what is expected."""


def filter_of(asked: MultiDict[str, str], now: datetime) -> LogFilter:
    """Return the filter of an address's query. Raises `FilterError`."""
    if unknown := sorted(set(asked) - KEYS - PAGING):
        raise FilterError(f"{', '.join(unknown)}: no such filter; there are {', '.join(sorted(KEYS))}")
    state = asked.get("state", "").strip()
    if state not in _STATES:
        raise FilterError(f"state: {state!r}: write recorded, failed or all")
    try:
        values = {each.key: each.read(text) for each in FILTERS if (text := asked.get(each.key, "").strip())}
        if "category" in values:
            (category,) = (each for each in FILTERS if each.key == "category")
            values["category"] = [category.read(text) for text in asked.getlist("category") if text]
        return log_filter(values, now, _STATES[state])
    except QuestionError as error:
        raise FilterError(f"{error.key}: {error}") from error
