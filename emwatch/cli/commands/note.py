"""``emwatch note``: what people write about a frame or a session; it is shown in the log, and found by its words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.entering import enter, tell_waiting, the_session, writer_name
from emwatch.cli.exits import Exit
from emwatch.cli.options import config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.parameter_types import Whole, Words
from emwatch.cli.terminal.display import Column, print_json, print_table
from emwatch.clock import SystemClock
from emwatch.errors import EmwatchError
from emwatch.filesystem import real_path
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from emwatch.ledger.query import LedgerReader, NoteRow

_LISTED: Final = (
    Column("No.", align="right"),
    Column("Written", whole=True),
    Column("By", spare=1),
    Column("Note"),
)
_LONGEST: Final = 10_000


@click.command(short_help="Write a note about a frame or a session.")
@click.argument("what", required=False, metavar="[FRAME|SESSION]")
@click.argument("text", required=False, type=Words())
@click.option("--session", "of_session", is_flag=True, help="The number is that of a session.")
@click.option("--change", metavar="N", type=Whole(min=1), help="Put TEXT in place of this note.")
@click.option("--remove", metavar="N", type=Whole(min=1), help="Take this note back.")
@click.option("--by", metavar="NAME", type=Words(), help="Who writes; default: the login name.")
@ledger_option
@config_option
@json_option
@logging_options
def note(
    what: str | None, text: str | None, ledger: Path | None, config_file: Path | None, *, as_json: bool, **asked: Any
) -> None:
    """
    Write a note about a frame or a session; without TEXT, list its notes.

    A frame is the number that emwatch log shows or a path, a session its name, "last", or with --session its number.
    Notes are shown by emwatch log and show, and "emwatch log --text WORD" finds them. What a note said before stays in the
    ledger. The daemon may run: it records notes within seconds.

    For example:

    \b
      emwatch note 17 "contaminated at the left edge"
      emwatch note last "new filament"
      emwatch note --change 3 "contaminated at the right edge"
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    from emwatch.ledger.entries import Note
    from emwatch.ledger.query import LedgerReader

    change, remove = asked["change"], asked["remove"]
    if change is not None and remove is not None:
        raise click.UsageError("--change and --remove exclude each other")
    if change is not None or remove is not None:
        said = what if change is not None else ""
        if text is not None or (what is None) != (remove is not None):
            raise click.UsageError("--change N goes with the new TEXT only, --remove N goes alone")
    elif what is None:
        raise click.UsageError("name a frame or a session")
    else:
        said = text
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    about: dict[str, Any] = {"replaces": change or remove}
    if about["replaces"] is None:
        with LedgerReader(config.ledger.path) as reader:
            about = _meant(reader, what or "", of_session=asked["of_session"])
            if said is None:
                _list(reader.notes(**about), as_json=as_json)
                return
    entry = Note(
        _checked(said or "", may_be_empty=remove is not None), writer_name(asked["by"]), SystemClock().now(), **about
    )
    recorded = enter(config, entry, "write the note")
    if as_json:
        print_json({"recorded": recorded, **about, "text": entry.text, "written_by": entry.written_by})
    elif recorded:
        click.echo("taken back" if remove is not None else "noted")
    if not recorded:
        tell_waiting()


def _checked(text: str, *, may_be_empty: bool) -> str:
    text = text.strip()
    if not may_be_empty and not text:
        raise click.BadParameter("is empty; --remove N takes a note back", param_hint="'TEXT'")
    if len(text) > _LONGEST:
        raise click.BadParameter(f"is longer than {_LONGEST:,} characters", param_hint="'TEXT'")
    return text


def _meant(reader: LedgerReader, what: str, *, of_session: bool) -> dict[str, Any]:
    """Return the number of a frame or a session, by what it is called. Raises `EmwatchError` if there is none."""
    from emwatch.ledger.row_values import row_number

    if not of_session:
        number = row_number(what)
        frame = reader.to_review(Path(what) if number is None else number) or reader.to_review(real_path(Path(what)))
        if frame is not None:
            return {"frame_id": frame.frame_id}
        if number is not None:
            raise EmwatchError(f"no recorded frame has number {number}; the number of a session goes with --session")
    try:
        return {"session_id": the_session(reader, what).id}
    except EmwatchError as error:
        if not of_session and (called := reader.number_called(what)) is not None:
            return {"frame_id": called}
        raise EmwatchError(f"{path_to_text(Path(what))}: is no recorded frame, and {error}") from error


def _list(notes: list[NoteRow], *, as_json: bool) -> None:
    if as_json:
        print_json([note_document(each) for each in notes])
    elif notes:
        print_table(
            _LISTED,
            [
                (str(each.id), f"{each.written_at.astimezone():%Y-%m-%d %H:%M}", each.written_by, each.text)
                for each in notes
            ],
        )
    else:
        click.echo("there is no note about it", err=True)
    if not notes:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def note_document(row: NoteRow) -> dict[str, Any]:
    """Return a note as plain data; its time is local, with its offset."""
    return {"id": row.id, "text": row.text, "written_by": row.written_by, "written_at": row.written_at.astimezone()}
