"""``emwatch session``: start, end, list, show and rename sessions."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.entering import enter, tell_namesakes, tell_waiting, the_session
from emwatch.cli.exits import Exit
from emwatch.cli.options import (
    asked_ledger,
    asked_ledger_option,
    config_option,
    json_option,
    ledger_option,
    load_config,
    logging_options,
)
from emwatch.cli.parameter_types import Whole, Words
from emwatch.cli.terminal.display import Column, print_json, print_table, printable
from emwatch.clock import SystemClock
from emwatch.errors import EmwatchError

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.ledger.query import LedgerReader, SessionRow

_LISTED: Final = (
    Column("No.", align="right"),
    Column("Session"),
    Column("Began", whole=True),
    Column("Ended", whole=True, spare=2),
    Column("Frames", align="right"),
    Column("Hits", align="right"),
    Column("Failed", align="right", spare=3),
    Column("Operator", spare=4),
    Column("Instrument", spare=6),
    Column("Sample", spare=5),
)
_SHOWN: Final = 50
_operator_option = click.option("--operator", metavar="NAME", type=Words(), help="Who works at the microscope.")
_sample_option = click.option("--sample", metavar="NAME", type=Words(), help="What is looked at.")
_instrument_option = click.option(
    "--instrument", metavar="NAME", type=Words(), help="Only frames of this instrument, as watch.instrument names it."
)


@click.group()
def session() -> None:
    """
    Start, end, list, show and rename sessions.

    A session is a group of frames that belong together. One that "start" opens takes the frames that are written until
    "end". Other frames are grouped by their folder (ledger.session_folders), or by time: a new session begins after a
    pause longer than ledger.session_gap_minutes. The daemon may run: it records what these commands say within seconds.
    """


@session.command(short_help="Start a session.")
@click.argument("name", required=False)
@_operator_option
@_sample_option
@_instrument_option
@click.option(
    "--since", metavar="WHEN", help="It began then: frames written since belong to it. 2h, 14:30, an ISO time."
)
@ledger_option
@config_option
@json_option
@logging_options
def start(name: str | None, config_file: Path | None, ledger: Path | None, *, as_json: bool, **asked: Any) -> None:
    """
    Start a session: frames written from now on belong to it. One that is open for the same instrument ends.

    NAME is by default the date and time.

    For example:

    \b
      emwatch session start "Wafer 7" --operator Ana --sample W7
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    from emwatch.ledger.entries import SessionStart
    from emwatch.ledger.sessions import session_name

    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    started_at = _moment("--since", asked["since"])
    said = {key: (asked[key] or "").strip() or None for key in ("operator", "instrument", "sample")}
    _check_instrument(config, said["instrument"])
    entry = SessionStart(_checked(name or session_name(started_at)), started_at, **said)
    recorded = enter(config, entry, "start the session")
    _report(
        {"recorded": recorded, "name": entry.name, "started_at": started_at, **said}, f"{entry.name}: started", as_json
    )
    tell_namesakes(config, entry.name, started_at=started_at)


@session.command(short_help="End a session.")
@click.argument("which", required=False, metavar="[SESSION]")
@click.option("--at", metavar="WHEN", help="It ended then: frames written later do not belong to it.")
@ledger_option
@config_option
@json_option
@logging_options
def end(which: str | None, at: str | None, config_file: Path | None, ledger: Path | None, *, as_json: bool) -> None:
    """
    End a session that "start" opened. SESSION, its name or number, is only needed when several are open.

    One that was ended too late can be ended again, with an earlier --at.
    """
    from emwatch.ledger.entries import SessionEnd
    from emwatch.ledger.query import LedgerReader

    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    ended_at = _moment("--at", at)
    with LedgerReader(config.ledger.path) as reader:
        if which is None:
            number, name = _the_open_one(reader)
        else:
            found = the_session(reader, which)
            number, name = found.id, found.name
            if found.opened_by != "command":
                raise EmwatchError(f"{name}: was not started by a command, and ends by itself")
            if ended_at < found.started_at:
                raise click.BadParameter(
                    f"{name} began at {_clock_time(found.started_at)}, after that", param_hint="'--at'"
                )
    recorded = enter(config, SessionEnd(number, ended_at), "end the session")
    _report({"recorded": recorded, "id": number, "name": name, "ended_at": ended_at}, f"{name}: ended", as_json)


@session.command(short_help="Change the name, operator or sample of a session.")
@click.argument("which", metavar="SESSION")
@click.argument("name", required=False)
@_operator_option
@_sample_option
@click.option("--instrument", metavar="NAME", type=Words(), help="The instrument.")
@ledger_option
@config_option
@json_option
@logging_options
def rename(
    which: str, name: str | None, config_file: Path | None, ledger: Path | None, *, as_json: bool, **asked: Any
) -> None:
    """
    Change the name, operator, sample or instrument of a session. SESSION is its name, its number or "last".

    An empty text takes back what was said: --sample "".
    """
    from emwatch.ledger.entries import SessionChange
    from emwatch.ledger.query import LedgerReader

    said = {key: None if asked[key] is None else asked[key].strip() for key in ("operator", "sample", "instrument")}
    if name is None and all(each is None for each in said.values()):
        raise click.UsageError("say another NAME, or --operator, --sample or --instrument")
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    with LedgerReader(config.ledger.path) as reader:
        found = the_session(reader, which)
    entry = SessionChange(found.id, None if name is None else _checked(name), **said)
    recorded = enter(config, entry, "rename the session")
    words = f"{found.name}: is {entry.name} now" if entry.name else f"{found.name}: changed"
    _report({"recorded": recorded, "id": found.id, "name": entry.name or found.name, **said}, words, as_json)
    if entry.name is not None:
        tell_namesakes(config, entry.name, number=found.id)


@session.command("list", short_help="List sessions.")
@click.option("--limit", metavar="N", type=Whole(min=0), default=_SHOWN, help="At most N; 0: all.", show_default=True)
@asked_ledger_option
@config_option
@json_option
@logging_options
def list_sessions(limit: int, config_file: Path | None, ledger: Path | str | None, *, as_json: bool) -> None:
    """List sessions, the one that was recorded into last first. The exit code is 3 if there is none."""
    from emwatch.ledger.query import LedgerReader

    _, place = asked_ledger(config_file, ledger)
    with LedgerReader(place) as reader:
        rows = reader.sessions(limit or None)
    if as_json:
        print_json([_document(each) for each in rows])
    elif rows:
        print_table(_LISTED, [_cells(each) for each in rows])
    else:
        click.echo("there is no session yet", err=True)
    if not rows:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


@session.command(short_help="Show a session.")
@click.argument("which", metavar="[SESSION]", default="last")
@asked_ledger_option
@config_option
@json_option
@logging_options
def show(which: str, config_file: Path | None, ledger: Path | str | None, *, as_json: bool) -> None:
    """Show a session: when, who, what, how many frames of each category, hits and notes. SESSION is by default the last."""
    from emwatch.ledger.query import LedgerReader, LogFilter

    _, place = asked_ledger(config_file, ledger)
    with LedgerReader(place) as reader:
        found = the_session(reader, which)
        by_category = reader.stats(LogFilter(session=str(found.id)), ("category",))
        notes = reader.notes(session_id=found.id)
    categories = {each.keys[0] or "none": each.frames for each in by_category if each.frames}
    document = _document(found) | {
        "categories": categories,
        "notes": [
            {
                "id": each.id,
                "text": each.text,
                "written_by": each.written_by,
                "written_at": each.written_at.astimezone(),
            }
            for each in notes
        ],
    }
    if as_json:
        print_json(document)
        return
    facts = _document(found) | {"started_at": _clock_time(found.started_at), "ended_at": _ended(found)}
    rows = [
        *((title, str(facts[key])) for key, title in _FACTS.items() if facts[key] is not None),
        *((category, f"{number:,}") for category, number in categories.items()),
        *((f"note {each.id}", f"{each.text} ({each.written_by}, {_clock_time(each.written_at)})") for each in notes),
    ]
    print_table((Column("Session", whole=True), Column(found.name)), rows)


_FACTS: Final = {
    "id": "number",
    "started_at": "began",
    "ended_at": "ended",
    "opened_by": "opened by",
    "operator": "operator",
    "instrument": "instrument",
    "sample": "sample",
    "folder": "folder",
    "frames": "frames",
    "hits": "hits",
    "failed": "failed",
}


def _moment(option: str, text: str | None) -> datetime:
    from emwatch.ledger.times import parse_when

    now = SystemClock().now()
    try:
        moment = now if text is None else parse_when(text, now)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"'{option}'") from error
    if moment > now:
        raise click.BadParameter(f"{text}: is still to come", param_hint=f"'{option}'")
    return moment


def _checked(name: str) -> str:
    from emwatch.service.entry_inbox import check_name

    try:
        check_name(name.strip())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'NAME'") from error
    return name.strip()


def _check_instrument(config: Config, instrument: str | None) -> None:
    if instrument is not None and instrument not in config.watch.instrument:
        known = ", ".join(dict.fromkeys(config.watch.instrument))
        raise click.BadParameter(
            f"{instrument!r}: watch.instrument names {f'only {known}' if known else 'none'}",
            param_hint="'--instrument'",
        )


def _the_open_one(reader: LedgerReader) -> tuple[int, str]:
    found = reader.open_sessions()
    if not found:
        raise EmwatchError("no session is open; emwatch session list shows all")
    if len(found) > 1:
        raise EmwatchError(
            f"several sessions are open, name one: {', '.join(f'{number} = {name}' for number, name in found)}"
        )
    return found[0]


def _report(document: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        print_json(
            {key: value.astimezone() if isinstance(value, datetime) else value for key, value in document.items()}
        )
    else:
        click.echo(printable(words))
    if not document["recorded"]:
        tell_waiting()


def _document(row: SessionRow) -> dict[str, Any]:
    document = dataclasses.asdict(row)
    return document | {name: document[name].astimezone() for name in ("started_at", "ended_at")}


def _cells(row: SessionRow) -> tuple[str, ...]:
    return (
        str(row.id),
        row.name,
        _clock_time(row.started_at),
        _ended(row),
        f"{row.frames:,}",
        f"{row.hits:,}",
        f"{row.failed:,}" if row.failed else "",
        row.operator or "",
        row.instrument or "",
        row.sample or "",
    )


def _ended(row: SessionRow) -> str:
    return "open" if row.is_open else _clock_time(row.ended_at)


def _clock_time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
