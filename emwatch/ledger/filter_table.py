"""
The filters of the log as people ask for them: one table for the command line, the page and its API.

A new filter is one line here, a field of `LogFilter`, and its condition in `emwatch.ledger.filters`. Needs no SQLAlchemy
until a filter is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from emwatch.errors import QuestionError
from emwatch.frame import CATEGORIES, FrameState, Window
from emwatch.ledger.times import parse_when
from emwatch.units import parse_range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from emwatch.ledger.filters import LogFilter


@dataclass(frozen=True, slots=True)
class FilterKey:
    """
    One filter.

    Attributes:
        key: its name in an address; on the command line with dashes.
        kind: ``window`` is written ``LO..HI``, ``flag`` is yes or no, ``share`` a number from 0 to 1, ``when`` a time.
        about: what it chooses, for help.
        field: of `LogFilter`, if that has another name.
        metavar: stands for the value in help.

    """

    key: str
    kind: Literal["category", "text", "window", "flag", "share", "when"]
    about: str
    field: str = ""
    metavar: str = ""

    def read(self, text: str) -> Any:
        """Return the value that a text stands for. Raises `QuestionError`."""
        try:
            match self.kind:
                case "category":
                    return _category(text)
                case "window":
                    return Window(*parse_range(text))
                case "flag":
                    return _yes(text)
                case "share":
                    return _share(text)
        except ValueError as error:
            raise QuestionError(self.key, str(error)) from error
        return text


FILTERS: Final = (
    FilterKey("category", "category", "Frames of this category; can be repeated.", "categories", "NAME"),
    FilterKey("target", "text", "Frames that met this target.", metavar="NAME"),
    FilterKey("hits", "flag", "Frames that met any target."),
    FilterKey("min_probability", "share", "Lowest probability, 0 to 1.", metavar="P"),
    FilterKey("max_probability", "share", "Highest probability, 0 to 1.", metavar="P"),
    FilterKey("magnification", "window", "Magnification in this range: 5k..20k, 1000.. or ..5000."),
    FilterKey("tilt", "window", "Stage tilt in this range, in degrees.", "stage_tilt_deg"),
    FilterKey("working_distance", "window", "Working distance in this range, in mm.", "working_distance_mm"),
    FilterKey("voltage", "window", "Accelerating voltage in this range, in kV.", "accelerating_voltage_kv"),
    FilterKey("pixel_size", "window", "Pixel size in this range, in nm.", "pixel_size_nm"),
    FilterKey("field_width", "window", "Width of the field of view, in µm.", "horizontal_field_width_um"),
    FilterKey("stage_x", "window", "Stage position x, in mm; with --stage-y a box.", "stage_x_mm"),
    FilterKey("stage_y", "window", "Stage position y, in mm.", "stage_y_mm"),
    FilterKey("margin", "window", "Lead over the second likeliest category, 0 to 1."),
    FilterKey("novelty", "window", "Distance from what the model was taught."),
    FilterKey("instrument", "text", "By the name of the instrument.", metavar="GLOB"),
    FilterKey("operator", "text", "By the operator, in the metadata or of the session.", metavar="GLOB"),
    FilterKey("sample", "text", "By the sample, in the metadata or of the session.", metavar="GLOB"),
    FilterKey("detector", "text", "By the detector.", metavar="GLOB"),
    FilterKey("day", "when", "Recorded on a day, or on days: 2026-11-20, 2026-11-20..22, yesterday.", metavar="DAYS"),
    FilterKey("since", "when", "Recorded since: 2h, 30m, 3d, today, yesterday, 14:30, an ISO time.", metavar="WHEN"),
    FilterKey("until", "when", "Recorded until; a day means its end.", metavar="WHEN"),
    FilterKey("session", "text", 'A session by its name or number, or "last".', metavar="WHICH"),
    FilterKey("path", "text", 'By file name, or by the whole path if there is a "/" in it.', metavar="GLOB"),
    FilterKey(
        "text", "text", "All these words in path, notes or metadata; wafer*: words that begin so.", metavar="WORDS"
    ),
    FilterKey(
        "where", "text", "An SQL expression over the columns of v_log, as in emwatch docs ledger.", metavar="SQL"
    ),
    FilterKey("alerted", "flag", "Frames of which an alert was delivered."),
    FilterKey("reviewed", "flag", "Frames that somebody reviewed."),
    FilterKey("uncertain", "flag", "Frames of which the model is uncertain."),
)
#: Only frames that were read have what these ask for.
_OF_READ_FRAMES: Final = (
    "categories",
    "target",
    "hits",
    "probability",
    "uncertain",
    "margin",
    "novelty",
    "reviewed",
    "alerted",
)
_SHORT_END: Final = re.compile(r"\d{1,2}(-\d{1,2})?")


def log_filter(
    asked: Mapping[str, Any], now: datetime, states: Sequence[FrameState] = (FrameState.RECORDED, FrameState.FAILED)
) -> LogFilter:
    """
    Return the filter that values by key of `FILTERS` mean; ``None`` or nothing for what is not asked.

    Raises:
        QuestionError: a value makes no sense, or two contradict each other.

    """
    from emwatch.ledger.filters import LogFilter
    from emwatch.ledger.words import terms_of

    values: dict[str, Any] = {
        each.field or each.key: asked[each.key]
        for each in FILTERS
        if each.kind not in {"category", "share", "when"} and asked.get(each.key) not in {None, ""}
    }
    values["categories"] = tuple(asked.get("category") or ())
    values["since"], values["until"] = period(asked, now)
    values["probability"] = _probability(asked.get("min_probability"), asked.get("max_probability"))
    if "text" in values:
        try:
            terms_of(values["text"])
        except ValueError as error:
            raise QuestionError("text", str(error)) from error
    if values.get("hits") is False and values.get("target"):
        raise QuestionError("hits", f"a frame that met {values['target']!r} is a hit: both cannot be")
    if FrameState.RECORDED not in states and any(values.get(name) not in {None, ()} for name in _OF_READ_FRAMES):
        raise QuestionError(
            next(each.key for each in FILTERS if values.get(each.field or each.key) or each.kind == "share"),
            "a file that could not be read has no category, no hits and no reviews: both cannot be",
        )
    return LogFilter(**values, asked_at=now, states=tuple(states))


def period(asked: Mapping[str, str | None], now: datetime) -> tuple[datetime | None, datetime | None]:
    """
    Return the first and the last moment of ``since``, ``until`` and ``day`` (``2026-11-20``, ``2026-11-20..22``).

    The end of a range of days may leave out what it shares with the beginning. Raises `QuestionError`.
    """
    day = asked.get("day")
    if day and (asked.get("since") or asked.get("until")):
        raise QuestionError("day", "goes without since and until: it says both")
    first, last = _days(day) if day else (asked.get("since"), asked.get("until"))
    since = _moment("day" if day else "since", first, now, end=False)
    until = _moment("day" if day else "until", last, now, end=True)
    if since is not None and until is not None and since > until:
        raise QuestionError(
            "day" if day else "since",
            f"{first} ({since.astimezone():%Y-%m-%d %H:%M:%S}) is after {last} ({until.astimezone():%Y-%m-%d %H:%M:%S})",
        )
    return since, until


def _days(day: str) -> tuple[str, str]:
    first, dots, last = (part.strip() for part in day.partition(".."))
    if not dots:
        return first, first
    if _SHORT_END.fullmatch(last):  # 2026-11-20..22, 2026-11-20..12-03
        parts = last.split("-")
        last = "-".join([*first.split("-")[: 3 - len(parts)], *(part.zfill(2) for part in parts)])
    return first, last


def _moment(key: str, text: str | None, now: datetime, *, end: bool) -> datetime | None:
    if not text:
        return None
    try:
        return parse_when(text, now, end=end)
    except ValueError as error:
        raise QuestionError(key, str(error)) from error


def _probability(low: float | None, high: float | None) -> Window | None:
    if low is not None and high is not None and low > high:
        raise QuestionError("min_probability", f"{low:g} is above the highest probability, {high:g}")
    return None if low is None and high is None else Window(low, high)


def _category(text: str) -> str:
    for each in CATEGORIES:
        if each.lower() == text.lower():
            return each
    raise ValueError(f"{text!r} is not one of {', '.join(CATEGORIES)}")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a probability from 0 to 1")
    return value


def _yes(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError(f"{text!r}: write 1 for yes or 0 for no")
    return text == "1"
