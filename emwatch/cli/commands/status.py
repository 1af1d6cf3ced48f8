"""``emwatch status``: how the daemon is, at once, also when a share hangs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import LedgerFile, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import Column, print_json, print_table, tell_warning
from emwatch.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@click.command(short_help="Show the state of the daemon, its ledger and its alerts.")
@click.option("--ledger", type=LedgerFile(), help="Show the daemon of this ledger instead of ledger.path.")
@config_option
@json_option
@logging_options
def status(ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Show the state of the daemon: directories, frames, alerts, ledger, disk, model, versions.

    The exit code is 0 while it runs, 5 if it runs and gives no sign of life, else 3. The watched directories are not
    accessed: their state is what the daemon wrote last, so the answer comes at once even if a share hangs.
    """
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.service.status import status_document

    now = SystemClock().now()
    document = status_document(config, now)
    if as_json:
        print_json(document)
    else:
        print_table(
            [Column("What", style="dim", whole=True), Column("How it is")],
            [list(row) for row in _rows(document, now)],
        )
        for warning in document["warnings"]:
            tell_warning(warning)
    if not document["running"]:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)
    if document["state"] == "silent":
        raise click.exceptions.Exit(Exit.NOT_PROVED)


def _rows(document: dict[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    yield "daemon", _daemon(document, now)
    for each in document["directories"]:
        yield "directory", _directory(each, now)
    yield "frames", _frames(document["frames"])
    if document["last_frame_at"]:
        lag = document["lag_s"]
        known = "" if lag is None else f", {lag:.1f} s after it was first seen"
        yield "last frame", f"{age_text(document['last_frame_age_s'])} ago{known}"
    for name, of in (document["alerts"] or {}).items():
        yield f"alerts {name}", _alerts(of)
    if document["model"]:
        model = document["model"]
        yield "model", f"{model['name']} ({model['sha256'][:12]}, {model['engine']})"
        if model.get("trouble"):
            yield "model not taken over", model["trouble"]
    if page := document["page"]:
        yield "page", page["address"] or "not served"
    yield from _ledger(document["ledger"], now)
    if server := document["server"]:
        yield "server", _server(server, now)
    if document["disk"]:
        disk = document["disk"]
        yield "disk", f"{bytes_text(disk['free_bytes'])} free of {bytes_text(disk['total_bytes'])} at {disk['path']}"
    versions = document["versions"]
    told = {**versions, **(versions.get("daemon") or {})}
    note = told.pop("sqlite_note")
    yield "versions", ", ".join(f"{name} {value}" for name, value in told.items() if isinstance(value, str))
    if note:
        yield f"sqlite {versions['sqlite']}", note


def _daemon(document: dict[str, Any], now: datetime) -> str:
    if not document["running"]:
        return str(document["state"])
    process = f", process {document['pid']}" if document["pid"] else ""
    since = _ago(document["started_at"], now)
    silent_s = document["no_sign_of_life_s"]
    silence = "" if silent_s is None else f", no sign of life for {age_text(silent_s)}"
    return f"{document['state']}{process}{f', started {since}' if since else ''}{silence}"


def _directory(each: dict[str, Any], now: datetime) -> str:
    words = [f"{each['path']}: {each['mode']}"]
    if each["why"]:
        words.append(f"({each['why']})")
    if each.get("sweep_seconds") and each["mode"] not in {"unavailable", "read once"}:
        words[-1] += ","
        words.append(f"swept every {each['sweep_seconds']:g} s")
    if swept := _ago(each.get("last_sweep_at"), now):
        words[-1] += f", last {swept}"
    if each["mode"] in {"polling", "degraded"} and (new_s := each.get("new_within_seconds")) is not None:
        changed_s = each.get("changed_within_seconds") or new_s
        words[-1] += (
            f"; a new file is taken up within {new_s:.0f} s, one that was written again within {changed_s:.0f} s"
        )
    return " ".join(words)


def _frames(frames: dict[str, Any]) -> str:
    counts = [
        f"{frames[name]:,} {name}"
        for name in ("recorded", "failed", "skipped", "baseline", "waiting")
        if frames[name] or (name in {"recorded", "failed"} and frames[name] is not None)
    ]
    since = frames["since_start"]
    start = f" ({since['recorded']:,} recorded since the start)" if since else ""
    return f"{', '.join(counts) or 'not known'}{start}"


def _alerts(of: dict[str, Any]) -> str:
    if not of["pending"] and not of["dead"]:
        return "all delivered"
    words = [f"{of['pending']:,} waiting"] if of["pending"] else []
    words += [f"{of['dead']:,} given up"] if of["dead"] else []
    return ", ".join(words) + (f": {of['last_error']}" if of["last_error"] else "")


def _ledger(ledger: dict[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    size = "not there" if ledger["bytes"] is None else bytes_text(ledger["bytes"] + (ledger["wal_bytes"] or 0))
    revision = f", revision {ledger['revision']}" if ledger["revision"] else ""
    yield "ledger", f"{ledger['path']}, {size}{revision}"
    if ledger["check"]:
        yield "last check", f"{ledger['check']['result']}, {_ago(ledger['check']['at'], now)}"
    if backup := ledger["backup"]:
        if backup.get("at"):
            yield "last backup", f"{backup['path']}, {_ago(backup['at'], now)}"
        else:
            yield "last backup", "none yet"


def _server(server: dict[str, Any], now: datetime) -> str:
    since = _ago(server["away_since"], now)
    how = f"nothing handed over since {since}" if since else ""
    last = f"last handed over {_ago(server['last_at'], now)}" if server["last_at"] and not since else ""
    number = server["waiting"]
    waits = "" if number is None else f"{number:,} frames and sessions waiting" if number else "nothing waiting"
    return ", ".join(part for part in (server["name"], how, waits, last) if part)


def _ago(moment: str | None, now: datetime) -> str:
    if not moment:
        return ""
    return f"{age_text((now - datetime.fromisoformat(moment)).total_seconds())} ago"


def age_text(seconds: float | None) -> str:
    """Write a duration for people: two units at most."""
    if seconds is None:
        return "?"
    whole = int(max(0.0, seconds))
    for unit, size, below, small in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit}{f' {rest} {below}' if rest else ''}"
    return f"{whole} s"


def bytes_text(number: int) -> str:
    """Write a size for people."""
    size, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
