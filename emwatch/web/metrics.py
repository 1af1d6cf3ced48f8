"""What a monitoring system asks for, as OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from emwatch.service.progress import BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Iterator

_Values: TypeAlias = "list[tuple[dict[str, str], Any]]"

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def metrics_text(status: dict[str, Any], open_pages: int) -> str:
    """Return the metrics of a status document; a value that is unknown is left out."""
    return "\n".join([*_lines(status, open_pages), "# EOF", ""])


def _lines(status: dict[str, Any], open_pages: int) -> Iterator[str]:
    yield from _family("emwatch_up", "gauge", "Whether the daemon runs.", [({}, int(status["running"]))])
    frames = status["frames"]
    states = [({"state": each}, frames.get(each)) for each in ("recorded", "failed", "skipped", "baseline")]
    yield from _family("emwatch_frames", "gauge", "Files in the ledger by state.", states)
    yield from _family("emwatch_frames_waiting", "gauge", "Files seen and not yet recorded.", [({}, frames["waiting"])])
    yield from _family("emwatch_lag_seconds", "gauge", "First sight to record, last frame.", [({}, status["lag_s"])])
    yield from _stages(status["stages"] or {})
    age: _Values = [({}, status["last_frame_age_s"])]
    yield from _family("emwatch_last_frame_age_seconds", "gauge", "Age of the last recorded frame.", age)
    directories = [({"path": each["path"], "mode": each["mode"]}, 1) for each in status["directories"]]
    yield from _family("emwatch_directory_info", "gauge", "How each directory is watched.", directories)
    alerts = status["alerts"] or {}
    for state in ("pending", "dead"):
        values = [({"channel": name}, of[state]) for name, of in alerts.items()]
        yield from _family(f"emwatch_alerts_{state}", "gauge", f"Alerts that are {state}, by channel.", values)
    ledger, disk = status["ledger"], status["disk"] or {}
    yield from _family("emwatch_ledger_bytes", "gauge", "Size of the ledger.", [({}, ledger["bytes"])])
    yield from _family("emwatch_ledger_wal_bytes", "gauge", "Size of its WAL.", [({}, ledger["wal_bytes"])])
    yield from _family("emwatch_disk_free_bytes", "gauge", "Free on the ledger's disk.", [({}, disk.get("free_bytes"))])
    yield from _family("emwatch_warnings", "gauge", "Warnings of `emwatch status`.", [({}, len(status["warnings"]))])
    model = status["model"] or {}
    labels = {key: str(value) for key, value in model.items() if isinstance(value, (str, int, float))}
    yield from _family("emwatch_model_info", "gauge", "The model in use.", [(labels, 1)] if labels else [])
    yield from _family("emwatch_open_pages", "gauge", "Pages that wait for new frames.", [({}, open_pages)])


def _stages(stages: dict[str, Any]) -> Iterator[str]:
    """Return a histogram with one series for each stage of a frame's way."""
    name = "emwatch_stage_seconds"
    yield from _family(name, "histogram", "Time of recorded frames in each stage since the start.", [])
    for stage, found in stages.items():
        bounds = [*(str(each) for each in BOUNDS_S), "+Inf"]
        if len(found["counts"]) != len(bounds):  # of another version of emwatch
            continue
        for bound, count in zip(bounds, found["counts"], strict=True):
            yield f'{name}_bucket{{stage="{_escaped(stage)}",le="{bound}"}} {count}'
        yield f'{name}_count{{stage="{_escaped(stage)}"}} {found["counts"][-1]}'
        yield f'{name}_sum{{stage="{_escaped(stage)}"}} {found["sum_s"]}'


def _family(name: str, kind: str, text: str, values: _Values) -> Iterator[str]:
    yield f"# TYPE {name} {kind}"
    yield f"# HELP {name} {text}"
    for labels, value in values:
        if value is not None:
            inside = ",".join(f'{key}="{_escaped(each)}"' for key, each in labels.items())
            yield f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
