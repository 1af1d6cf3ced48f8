"""The filter in a page's address: the same questions as `emwatch log`, in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from emwatch.frame import CATEGORIES, FrameState, Window
from emwatch.ledger.asking import RANGES, QuestionError, period
from emwatch.ledger.filters import LogFilter
from emwatch.ledger.full_text import match_expression
from emwatch.units import parse_range

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from werkzeug.datastructures import MultiDict

_Value = TypeVar("_Value")

#: What may stand in an address beside the filters.
PAGING: Final = frozenset({"before", "limit"})
KEYS: Final = frozenset(
    {
        *("category", "target", "hits", "min_probability", "max_probability", "since", "until", "day", "session"),
        *("path", "reviewed", "uncertain", "state", "alerted", "instrument", "operator", "detector", "text"),
        *RANGES,
    }
)
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
    low, high = _read(asked, "min_probability", _share), _read(asked, "max_probability", _share)
    try:
        since, until = period({key: asked.get(key, "").strip() for key in ("since", "until", "day")}, now)
    except QuestionError as error:
        raise FilterError(f"{error.key}: {error}") from error
    windows: dict[str, Any] = {attribute: _read(asked, name, _window) for name, attribute in RANGES.items()}
    return LogFilter(
        **windows,
        categories=tuple(_category(each) for each in asked.getlist("category") if each),
        target=asked.get("target") or None,
        hits=_read(asked, "hits", _yes),
        probability=None if low is None and high is None else Window(low, high),
        since=since,
        until=until,
        asked_at=now,
        session=asked.get("session") or None,
        states=_read(asked, "state", _states) or _STATES[""],
        uncertain=_read(asked, "uncertain", _yes),
        reviewed=_read(asked, "reviewed", _yes),
        alerted=_read(asked, "alerted", _yes),
        instrument=asked.get("instrument") or None,
        operator=asked.get("operator") or None,
        detector=asked.get("detector") or None,
        text=_read(asked, "text", _words),
        path=asked.get("path") or None,
    )


def _read(asked: MultiDict[str, str], key: str, convert: Callable[[str], _Value]) -> _Value | None:
    text = asked.get(key, "").strip()
    if not text:
        return None
    try:
        return convert(text)
    except ValueError as error:
        raise FilterError(f"{key}: {error}") from error


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a probability from 0 to 1")
    return value


def _window(text: str) -> Window:
    return Window(*parse_range(text))


def _words(text: str) -> str:
    match_expression(text)
    return text


def _yes(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError(f"{text!r}: write 1 for yes or 0 for no")
    return text == "1"


def _states(text: str) -> tuple[FrameState, ...]:
    if text not in _STATES:
        raise ValueError(f"{text!r}: write recorded, failed or all")
    return _STATES[text]


def _category(text: str) -> str:
    for each in CATEGORIES:
        if each.lower() == text.lower():
            return each
    raise FilterError(f"category: {text!r} is not one of {', '.join(CATEGORIES)}")
