"""
The state of emwatch, collected without touching a watched directory.

Sources: the ledger's lock (whether the daemon runs), the status file, and the ledger.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emwatch import __version__
from emwatch.errors import LedgerError
from emwatch.filesystem import crosses_network, file_system_type
from emwatch.frame import path_to_text, text_to_path
from emwatch.ledger.care.backups import backups_of, made_at
from emwatch.ledger.server.address import server_name
from emwatch.ledger.sqlite_file import beside
from emwatch.ledger.summary import Summary, summarise
from emwatch.service.ledger_watch import LARGE_WAL_BYTES, wal_trouble
from emwatch.service.lock import holder
from emwatch.service.status_file import read_status_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config

#: The status file is renewed every 5 s while nothing hangs: three missed in a row are worth a word.
_NO_SIGN_S: Final = 20.0
#: A loop that is silent for longer than any frame may take its reader (two tries of `watch.read_seconds`) hangs.
_SILENT_S: Final = 30.0
_BEYOND_READING_S: Final = 10.0
_ALERTS_LATE_S: Final = 60.0
_LITTLE_SPACE_BYTES: Final = 1 << 30
#: From this release on, a checkpoint racing a commit cannot corrupt a WAL (https://sqlite.org/wal.html).
_SOUND_SQLITE: Final = (3, 51, 3)
_SOUND_BACKPORTS: Final = ((3, 44, 6), (3, 50, 7))


def status_document(config: Config, now: datetime) -> dict[str, Any]:
    """Return everything that `emwatch status` shows, as plain data; a faulty ledger is part of it, not an exception."""
    ledger = config.ledger.path
    told = read_status_file(ledger) or {}
    pid = _pid(ledger, told)
    summary, trouble = _summary(ledger)
    silent_s = _age_s(told.get("written_at"), now)
    last_frame_at = summary.last_frame_at or told.get("last_frame_at")
    state = _state(pid, told, silent_s, config)
    document: dict[str, Any] = {
        "running": pid is not None,
        "state": state,
        "pid": pid,
        "started_at": told.get("started_at") if pid is not None else None,
        "last_sign_of_life_at": told.get("written_at"),
        "no_sign_of_life_s": silent_s if _is_quiet(state, silent_s) else None,
        "directories": _directories(config, told, running=pid is not None),
        "frames": _frames(summary, told, running=pid is not None),
        "lag_s": told.get("lag_s"),
        "stages": told.get("stages") if pid is not None else None,
        "last_frame_at": last_frame_at,
        "last_frame_age_s": _age_s(last_frame_at, now),
        "alerts": _alerts(config, summary),
        "model": told.get("model") or None,
        "configuration": told.get("configuration") if pid is not None else None,
        "page": told.get("page") if pid is not None else None,
        "server": _server(config, summary, told, running=pid is not None),
        "ledger": {
            "path": path_to_text(ledger),
            "bytes": _size(ledger),
            "wal_bytes": _size(beside(Path(os.path.realpath(ledger)), "-wal")),
            "revision": summary.revision,
            "trouble": trouble or (told.get("ledger_trouble", "") if pid is not None else ""),
            "check": told.get("check"),
            "backup": _backup(config, told.get("backup")),
        },
        "disk": _disk(ledger.parent),
        "versions": {
            "emwatch": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "sqlite_note": _about_sqlite(),
            **({"daemon": told.get("versions")} if told.get("versions") else {}),
        },
    }
    document["warnings"] = list(_warnings(document, now))
    return document


def _pid(ledger: Path, told: dict[str, Any]) -> int | None:
    try:
        return holder(ledger)
    except OSError:  # not permitted: use what the daemon wrote about itself
        pid = told.get("pid")
        running = told.get("state") != "ended" and isinstance(pid, int) and _is_alive(pid)
        return pid if running else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _state(pid: int | None, told: dict[str, Any], silent_s: float | None, config: Config) -> str:
    if pid is None:
        return "not running" if told.get("state", "ended") == "ended" else "not running (it was killed)"
    if told.get("pid") != pid:
        return "starting"
    if silent_s is not None and silent_s > max(_SILENT_S, 2 * config.watch.read_seconds + _BEYOND_READING_S):
        return "silent"
    return str(told.get("state", "starting"))


def _is_quiet(state: str, silent_s: float | None) -> bool:
    """Return whether the daemon gave no sign of life for too long; loading a model at the start may take its time."""
    return state == "silent" or (state == "watching" and silent_s is not None and silent_s > _NO_SIGN_S)


def _summary(ledger: Path) -> tuple[Summary, str]:
    try:
        return summarise(ledger), ""
    except (LedgerError, OSError) as error:
        return Summary(frames=None, alerts=None), str(error)


def _directories(config: Config, told: dict[str, Any], *, running: bool) -> list[dict[str, Any]]:
    if running and told.get("directories"):
        return list(told["directories"])
    return [{"path": path_to_text(each), "mode": "not watched", "why": ""} for each in config.watch.directory]


def _frames(summary: Summary, told: dict[str, Any], *, running: bool) -> dict[str, Any]:
    waiting = told.get("waiting") if running else None
    if summary.frames is None:
        by_state: dict[str, int | None] = dict.fromkeys(("recorded", "failed", "skipped", "baseline"))
    else:
        by_state = {state: summary.frames.get(state, 0) for state in ("recorded", "failed", "skipped", "baseline")}
    known = [number for number in (*by_state.values(), waiting or 0) if number is not None]
    return {
        "seen": None if summary.frames is None else sum(known),
        **by_state,
        "waiting": waiting,
        "since_start": told.get("since_start") if running else None,
    }


def _alerts(config: Config, summary: Summary) -> dict[str, Any] | None:
    if summary.alerts is None:
        return None
    names = dict.fromkeys([*config.alerts.channels, *summary.alerts])
    none = {"pending": 0, "dead": 0, "oldest_pending_at": None, "last_error": ""}
    return {
        name: none
        if (of := summary.alerts.get(name)) is None
        else {
            "pending": of.pending,
            "dead": of.dead,
            "oldest_pending_at": of.oldest_pending_at,
            "last_error": of.last_error,
        }
        for name in names
    }


def _backup(config: Config, told: dict[str, Any] | None) -> dict[str, Any] | None:
    """
    Return the last backup, whichever program made it, and the daemon's report about its own last one.

    A directory on a network share is not read: like the watched ones it may hang.
    """
    if crosses_network(file_system_type(config.ledger.backups)):
        return told
    made = backups_of(config.ledger.path, config.ledger.backups)
    if not made:
        return told
    at = made_at(made[-1]).isoformat(timespec="seconds")
    told = told or {}
    # A fault reported before a newer backup was made is over.
    trouble = told.get("trouble", "") if told.get("at") == at else ""
    return {"at": at, "path": path_to_text(made[-1]), "trouble": trouble}


def _server(config: Config, summary: Summary, told: dict[str, Any], *, running: bool) -> dict[str, Any] | None:
    """Return how the handover to the server is; the server itself is not asked, which may take long."""
    if config.ledger.server is None:
        return None
    found = {"name": server_name(config.ledger.server), "away_since": None, "trouble": "", "last_at": None}
    found |= (told.get("server") or {}) if running else {}
    return found | {"waiting": found.get("waiting") if summary.to_hand_over is None else summary.to_hand_over}


def _disk(folder: Path) -> dict[str, Any] | None:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return {"path": path_to_text(folder), "free_bytes": usage.free, "total_bytes": usage.total}


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def _age_s(moment: str | None, now: datetime) -> float | None:
    if not moment:
        return None
    try:
        return max(0.0, round((now - datetime.fromisoformat(moment)).total_seconds(), 1))
    except (TypeError, ValueError):
        return None


def _about_sqlite() -> str:
    """Return a note about this SQLite, not a warning: it is true every day, and emwatch is the only writer."""
    if sqlite_is_sound(sqlite3.sqlite_version_info):
        return ""
    return "has a rare bug with several writers (fixed in 3.51.3): do not write to the ledger with another program"


def sqlite_is_sound(release: tuple[int, ...]) -> bool:
    """Return whether a release of SQLite is free of the WAL-reset bug."""
    return release >= _SOUND_SQLITE or any(
        release[:2] == backport[:2] and release >= backport for backport in _SOUND_BACKPORTS
    )


def _warnings(document: dict[str, Any], now: datetime) -> Iterator[str]:
    if document["no_sign_of_life_s"] is not None:
        yield _about_silence(document["no_sign_of_life_s"], document["state"], document["pid"])
    if document["ledger"]["trouble"]:
        yield document["ledger"]["trouble"]
    if (document["ledger"]["wal_bytes"] or 0) > LARGE_WAL_BYTES:
        yield wal_trouble(text_to_path(document["ledger"]["path"]), document["ledger"]["wal_bytes"])
    yield from _warnings_about_the_configuration(document["configuration"] or {})
    if (document["page"] or {}).get("trouble"):
        yield f"the page is not served: {document['page']['trouble']}"
    yield from _warnings_about_the_server(document)
    for each in document["directories"]:
        if each["mode"] in {"degraded", "unavailable"}:
            yield f"{each['path']}: {each['mode']}: {each['why']}"
    yield from _warnings_about_alerts(document["alerts"] or {}, now)
    since_start = document["frames"]["since_start"] or {}
    if since_start.get("overflows"):
        yield f"events were lost {since_start['overflows']} times since the start; sweeps found these files"
    if document["disk"] and document["disk"]["free_bytes"] < _LITTLE_SPACE_BYTES:
        yield f"{document['disk']['path']}: {document['disk']['free_bytes'] / 1e6:.0f} MB are left on the ledger's disk"
    backup = document["ledger"]["backup"] or {}
    if backup.get("trouble"):
        yield f"the last backup failed: {backup['trouble']}"


def _about_silence(silent_s: float, state: str, pid: int) -> str:
    silence = f"no sign of life for {silent_s:.0f} s"
    scheduled = _scheduled(pid)
    if scheduled in {"T", "t"}:
        return f"{silence}: its process is stopped, and goes on after: kill -CONT {pid}"
    if scheduled == "D":
        return f"{silence}: the daemon waits for a disk or a share that does not answer"
    maybe = "" if state == "silent" else "it reads a difficult file, "
    stopped = "" if scheduled else f", or its process is stopped (kill -CONT {pid})"
    return f"{silence}: the daemon hangs: {maybe}a share does not answer{stopped}"


def _scheduled(pid: int) -> str:
    """Return the letter by which Linux names the state of a process (proc(5)): T is stopped; "" where it is not known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _warnings_about_the_configuration(last_read: dict[str, Any]) -> Iterator[str]:
    if last_read.get("trouble"):
        yield f"the configuration was not taken over; the previous one stays in use: {last_read['trouble']}"
    if last_read.get("needs_restart"):
        yield f"changed in the configuration, but takes effect only after a restart: {', '.join(last_read['needs_restart'])}"


def _warnings_about_the_server(document: dict[str, Any]) -> Iterator[str]:
    server = document["server"] or {}
    number = server.get("waiting")
    waits = f", {number:,} frames and sessions waiting" if number else ""
    if server.get("away_since"):
        since = f"{datetime.fromisoformat(server['away_since']).astimezone():%Y-%m-%d %H:%M}"
        yield f"nothing is handed over to the server since {since}{waits}: {server['trouble']}"
    elif document["running"] and number and (document["last_frame_age_s"] or 0) > _SILENT_S:
        last, frame = (
            datetime.fromisoformat(at) if at else None for at in (server["last_at"], document["last_frame_at"])
        )
        if frame is not None and (last is None or last < frame):  # connected, and no answer: a server that hangs
            yield f"nothing is handed over to the server for {document['last_frame_age_s']:.0f} s{waits}: it does not answer"


def _warnings_about_alerts(alerts: dict[str, Any], now: datetime) -> Iterator[str]:
    for name, of in alerts.items():
        if of["dead"]:
            yield f"alerts: {name}: {of['dead']} given up; see them with: emwatch log --hits"
        if (age_s := _age_s(of["oldest_pending_at"], now)) is not None and age_s > _ALERTS_LATE_S:
            yield f"alerts: {name}: {of['pending']} wait, the oldest for {age_s:.0f} s {of['last_error']}".rstrip()
