"""The report of a session: its facts as one document, and the page made from it, which works offline and on paper."""

from __future__ import annotations

import base64
import importlib.util
import statistics
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import emwatch
from emwatch.errors import ConfigError
from emwatch.escape import escaped
from emwatch.frame import CATEGORIES, FrameState, path_to_text
from emwatch.ledger.filters import LogFilter
from emwatch.report import stage_map
from emwatch.report.timeline import bins_of, kind_of, timeline
from emwatch.units import degrees_text, significant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emwatch.config import Config
    from emwatch.ledger.positions import Position
    from emwatch.ledger.query import LedgerReader, LogRow
    from emwatch.ledger.session_facts import Delivery
    from emwatch.ledger.session_rows import SessionRow

_TEMPLATE: Final = "session.html.j2"
#: A pause in which nothing was written for so long is told.
_GAP: Final = timedelta(minutes=10)
_FAILURES_SHOWN: Final = 50
_HITS_SHOWN: Final = 60
_TEXTS_SHOWN: Final = 6
_SUMMARY: Final = (("frames", "frames"), ("hits", "met a target"), ("failed", "not readable"), ("reviewed", "reviewed"))


@dataclass(frozen=True, slots=True)
class SessionReport:
    """All facts of a session as plain data (``document``), and where its frames were taken."""

    document: Mapping[str, Any]
    positions: Sequence[Position]

    @property
    def shown_hits(self) -> list[Position]:
        """The hits with pictures on the page: the most probable of many."""
        hits = [each for each in self.positions if each.targets]
        return sorted(hits, key=lambda each: -(each.probability or 0.0))[:_HITS_SHOWN]


def session_report(
    reader: LedgerReader, session: SessionRow, configuration: Mapping[str, Any], made_at: datetime
) -> SessionReport:
    """
    Return the report of a session; its numbers are those of ``emwatch log --session N --count`` with each filter.

    ``configuration``: what is told of how the frames were recorded, by key; see `configuration_of`.
    """
    wanted = LogFilter(session=str(session.id), newest_first=False, states=tuple(FrameState))
    rows = [each for each in reader.rows(wanted) if each.state in {FrameState.RECORDED, FrameState.FAILED}]
    alerts, models, reviews = reader.deliveries(wanted), reader.models_used(wanted), reader.reviews(wanted)
    failed = [each for each in rows if each.state is FrameState.FAILED]
    document = {
        "emwatch": emwatch.__version__,
        "made_at": _local(made_at),
        "session": {
            **{name: getattr(session, name) for name in ("id", "name", "operator", "instrument", "sample")},
            "opened_by": session.opened_by,
            "is_open": session.is_open,
            "started_at": _local(session.started_at),
            "ended_at": _local(session.ended_at),
            "notes": [
                {"text": each.text, "written_by": each.written_by, "written_at": _local(each.written_at)}
                for each in reader.notes(session_id=session.id)
            ],
        },
        "counts": _counts(rows),
        "told": _told(rows),
        "categories": _categories(rows),
        "timeline": bins_of(
            (each.file_modified_at or each.recorded_at, kind_of(each.state, each.category)) for each in rows
        ),
        "hits": [_hit(each, alerts) for each in rows if each.targets],
        "alerts": _alerts(alerts),
        "gaps": _gaps(rows),
        "failures": {
            "by_code": dict(Counter(each.code for each in failed).most_common()),
            "files": [{"file": path_to_text(each.path), "code": each.code, "reason": each.reason} for each in failed],
        },
        "reviews": [
            {
                "file": path_to_text(each.path),
                "verdict": each.verdict.value,
                "category": each.category,
                "reviewed_by": each.reviewed_by,
                "note": each.note,
            }
            for each in reviews
            if each.counts
        ],
        "notes": [{"file": path_to_text(each.path), "text": each.notes} for each in rows if each.notes],
        "models": [{"name": each.name, "sha256": each.sha256, "frames": each.frames} for each in models],
        "configuration": configuration,
    }
    return SessionReport(document, reader.positions(wanted))


def check_extra(extra: str, instead: str = "") -> None:
    """Raise `ConfigError`, which names the extra and what can be done ``instead``, if jinja2 is not installed."""
    if importlib.util.find_spec("jinja2") is None:
        raise ConfigError(f"the report needs jinja2: pip install 'emwatch[{extra}]'{instead}")


def _quantity(value: float, name: str) -> str:
    return degrees_text(value) if name.endswith("_deg") else f"{significant(value, 5):,g}"


def page(report: SessionReport, thumbnails: Mapping[int, bytes]) -> str:
    """Return the page; every text from outside is escaped. ``thumbnails``: JPEG files by frame number."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "plain": escaped,
        "duration": duration_text,
        "clock": _clock,
        "few": _few,
        "quantity": _quantity,
    }
    document = report.document
    chart = stage_map.stage_map(report.positions)
    shown = {each.frame_id for each in report.shown_hits}
    rendered: str = environment.get_template(_TEMPLATE).render(
        **document,
        timeline_svg=timeline(document["timeline"]),
        map_svg=stage_map.svg(chart, "Stage map") if chart.placed else "",
        colours=stage_map.CATEGORY_COLOURS,
        shown_hits=[each for each in document["hits"] if each["id"] in shown],
        shown_failures=document["failures"]["files"][:_FAILURES_SHOWN],
        thumbnails={key: base64.b64encode(jpeg).decode("ascii") for key, jpeg in thumbnails.items()},
    )
    return rendered


def summary_html(report: SessionReport) -> str:
    """Return the summary for a notebook's entry; the whole page is attached to it."""
    document = report.document
    session, counts = document["session"], document["counts"]
    rows = [
        ("from", _clock(session["started_at"])),
        ("to", _clock(session["ended_at"])),
        *(
            (name, session[name] or _few(document["told"].get(name, [])))
            for name in ("operator", "instrument", "sample")
        ),
        *((words, str(counts[name])) for name, words in _SUMMARY),
        (
            "categories",
            ", ".join(f"{each['name'].replace('_', ' ')} {each['frames']}" for each in document["categories"]),
        ),
        *(("note", each["text"]) for each in session["notes"]),
    ]
    cells = (f"<tr><td>{escape(name)}</td><td>{escape(escaped(text))}</td></tr>" for name, text in rows if text)
    return f"<table>{''.join(cells)}</table><p>Made by emwatch from its log; posting the session again replaces this text.</p>"


def duration_text(seconds: float | None) -> str:
    """Return a duration for people: 0.8 s, 12 s, 3 min, 2 h 5 min."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _counts(rows: Sequence[LogRow]) -> dict[str, int]:
    return {
        "frames": len(rows),
        "recorded": sum(each.state is FrameState.RECORDED for each in rows),
        "failed": sum(each.state is FrameState.FAILED for each in rows),
        "hits": sum(bool(each.targets) for each in rows),
        "alerted": sum(each.alerted_at is not None for each in rows),
        "uncertain": sum(bool(each.uncertain) for each in rows),
        "reviewed": sum(each.reviewed is not None for each in rows),
        "copies": sum(each.duplicate_of is not None for each in rows),
    }


def _told(rows: Sequence[LogRow]) -> dict[str, Any]:
    """Return what the files say of the instrument, each value once, and the ranges of the numbers."""
    names = ("instrument", "vendor", "operator", "sample", "detector")
    ranges = ("magnification", "accelerating_voltage_kv", "working_distance_mm", "stage_tilt_deg", "pixel_size_nm")
    said = {name: sorted({str(value) for each in rows if (value := getattr(each, name))}) for name in names}
    numbers = {name: [value for each in rows if (value := getattr(each, name)) is not None] for name in ranges}
    return {**said, **{name: [min(found), max(found)] if found else None for name, found in numbers.items()}}


def _categories(rows: Sequence[LogRow]) -> list[dict[str, Any]]:
    found = []
    for name in CATEGORIES:
        of_it = [each for each in rows if each.category == name]
        if of_it:
            certain = sum(not each.uncertain for each in of_it)
            probability = statistics.fmean(each.probability or 0.0 for each in of_it)
            hits = sum(bool(each.targets) for each in of_it)
            found.append(
                {"name": name, "frames": len(of_it), "certain": certain, "probability": probability, "hits": hits}
            )
    return sorted(found, key=lambda each: -each["frames"])


def _hit(row: LogRow, alerts: Sequence[Delivery]) -> dict[str, Any]:
    waits = [each.seconds for each in alerts if each.frame_id == row.id and each.seconds is not None]
    return {
        "id": row.id,
        "file": path_to_text(row.path),
        "name": path_to_text(row.path.name),
        "recorded_at": _local(row.recorded_at),
        "category": row.category,
        "probability": row.probability,
        "targets": list(row.targets),
        "magnification": row.magnification,
        "stage_mm": None if row.stage_x_mm is None else [row.stage_x_mm, row.stage_y_mm],
        "reviewed": row.reviewed,
        "notes": row.notes,
        "alert_seconds": min(waits) if waits else None,
    }


def _alerts(alerts: Sequence[Delivery]) -> list[dict[str, Any]]:
    """Return for each channel how many alerts there were, and how long the operator waited for them."""
    found = []
    for channel in sorted({each.channel for each in alerts}):
        of_it = [each for each in alerts if each.channel == channel]
        waits = sorted(each.seconds for each in of_it if each.seconds is not None)
        states = Counter(each.state for each in of_it)
        found.append(
            {
                "channel": channel,
                "alerts": len(of_it),
                **{state: states[state] for state in ("delivered", "pending", "dead")},
                "held": sum(bool(each.held) for each in of_it),
                "median_seconds": statistics.median(waits) if waits else None,
                "longest_seconds": waits[-1] if waits else None,
                "last_error": next((each.last_error for each in reversed(of_it) if each.last_error), ""),
            }
        )
    return found


def _gaps(rows: Sequence[LogRow]) -> list[dict[str, Any]]:
    """Return the pauses in which no file was written, the longest first."""
    written = sorted(each.file_modified_at or each.recorded_at for each in rows)
    pauses = [
        {"from": _local(before), "until": _local(after), "seconds": (after - before).total_seconds()}
        for before, after in pairwise(written)
        if after - before >= _GAP
    ]
    return sorted(pauses, key=lambda each: -float(each["seconds"]))


def configuration_of(config: Config) -> dict[str, Any]:
    """Return what was looked for, and where; of channels only names and kinds, so that no secret can be in it."""
    return {
        "watch.directory": [path_to_text(each) for each in config.watch.directory],
        "ledger.path": path_to_text(config.ledger.path),
        "model.engine": str(config.model.engine),
        "targets": [each.model_dump(mode="json", exclude_defaults=True) for each in config.targets],
        "alerts.channels": {name: each.kind for name, each in config.alerts.channels.items()},
    }


def _local(moment: datetime) -> str:
    return moment.astimezone().isoformat(timespec="seconds")


def _clock(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"


def _few(texts: Sequence[str]) -> str:
    """Return some texts in a row, and how many more there are."""
    more = f" and {len(texts) - _TEXTS_SHOWN} more" if len(texts) > _TEXTS_SHOWN else ""
    return escaped(", ".join(texts[:_TEXTS_SHOWN])) + more
