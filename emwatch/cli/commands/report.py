"""``emwatch report``: all of a session on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import (
    AnyPath,
    asked_ledger,
    asked_ledger_option,
    config_option,
    json_option,
    logging_options,
)
from emwatch.cli.output_file import check_output, format_of, write_output
from emwatch.cli.terminal.display import print_json, printable
from emwatch.cli.thumbnails import thumbnails
from emwatch.clock import SystemClock
from emwatch.notebooks.registry import NOTEBOOKS

if TYPE_CHECKING:
    from emwatch.config import Config
    from emwatch.ledger.query import LedgerReader
    from emwatch.ledger.session_rows import SessionRow
    from emwatch.notebooks.registry import NotebookEntry

_THUMBNAIL_PX: Final = 256


@click.command(short_help="Report a session on one page, or as JSON.")
@click.argument("session", default="last")
@click.option("--out", metavar="FILE", type=AnyPath(), help="Write this .html or .json file; default: report-N.html.")
@click.option(
    "--post",
    metavar="KIND",
    type=click.Choice(list(NOTEBOOKS)),
    help=f"Post into this notebook: {' or '.join(NOTEBOOKS)}.",
)
@click.option(
    "--notebook-url",
    metavar="URL",
    envvar="EMWATCH_NOTEBOOK_URL",
    help="The notebook: https://HOST/api/v2, or https://HOST:8080/LOGBOOK/ of ELOG.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=AnyPath(),
    help="The notebook's token, USER:PASSWORD for ELOG; else EMWATCH_NOTEBOOK_TOKEN.",
)
@asked_ledger_option
@config_option
@json_option
@logging_options
def report(
    session: str,
    out: Path | None,
    ledger: Path | str | None,
    config_file: Path | None,
    as_json: bool,
    **posting: Any,
) -> None:
    """
    Report SESSION, by its name or number or "last": summary, timeline, categories, hits, map, alerts, failures, reviews.

    The page is one file that opens offline and prints; it needs emwatch[report]. The numbers are those of emwatch log
    --session. The exit code is 3 if there is no such session.

    --post writes the summary, the page and the pictures of the hits into an electronic notebook (needs
    emwatch[notebook]); posted again, the same entry is brought up to date. If the notebook does not answer, the session
    waits beside the ledger and goes with the next --post. Attributes that an ELOG logbook asks for stand behind a
    question mark in its address: https://elog.example:8080/SEM/?Type=Routine.
    """
    from emwatch.ledger.query import LedgerReader
    from emwatch.report.session import check_extra, configuration_of, page, session_report

    if posting["post"] and (as_json or out is not None):
        raise click.UsageError("--post excludes --json and --out")
    shape = "json" if as_json else "html" if out is None else format_of(out, ("html", "json"))
    if posting["post"]:
        check_extra("notebook")
    elif shape == "html":
        check_extra("report", instead=", or use --json")
    config, place = asked_ledger(config_file, ledger)
    if posting["post"] and not isinstance(place, Path):
        raise click.UsageError(
            "--post needs the ledger of the microscope: what waits for the notebook is kept beside it"
        )
    # The configuration of this PC says nothing of how another recorded its frames.
    configuration = configuration_of(config) if isinstance(place, Path) else {"ledger.server": place.name}
    now = SystemClock().now()
    with LedgerReader(place) as reader:
        chosen = _chosen(reader, session)
        if posting["post"]:
            _post(config, reader, chosen, **posting)
            return
        target = out or Path(f"report-{chosen.id}.html")
        if not as_json:
            check_output(config, target)
        made = session_report(reader, chosen, configuration, now)
    if as_json:
        print_json(made.document)
    elif shape == "json":
        write_output(target, json.dumps(made.document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        write_output(target, page(made, thumbnails(made.shown_hits, _THUMBNAIL_PX)))


def _post(
    config: Config,
    reader: LedgerReader,
    chosen: SessionRow,
    post: str,
    notebook_url: str | None,
    token_file: Path | None,
) -> None:
    from emwatch.cli import notebook_post
    from emwatch.report.session import configuration_of, page, session_report, summary_html

    def entry(session_id: int) -> NotebookEntry | None:
        found = next((each for each in reader.session(str(session_id)) if each.id == session_id), None)
        if found is None:
            return None
        made = session_report(reader, found, configuration_of(config), SystemClock().now())
        pictures = thumbnails(made.shown_hits, _THUMBNAIL_PX)
        files = {"emwatch-report.html": page(made, pictures).encode()}
        files |= {f"frame-{number}.jpg": jpeg for number, jpeg in pictures.items()}
        return notebook_post.entry_of(config, reader.first_used_at(), found, summary_html(made), files)

    token = notebook_post.token_from(token_file)
    notebook_post.post(config, post, notebook_url or "", token, chosen.id, entry)


def _chosen(reader: LedgerReader, wanted: str) -> SessionRow:
    """Return the one session that is meant. Raises click's usage error for several, and ends with 3 without one."""
    found = reader.session(wanted, SystemClock().now())
    if not found:
        click.echo(f"there is no session {printable(wanted)!r}; emwatch session list shows them", err=True)
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)
    if len(found) > 1:
        numbers = ", ".join(str(each.id) for each in found)
        raise click.UsageError(f"several sessions are called {printable(wanted)!r}: name one by its number, {numbers}")
    return found[0]
