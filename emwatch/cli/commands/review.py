"""``emwatch review``: a person says what recorded frames really are; nothing that was said before is overwritten."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exits import Exit
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import asked_ledger, asked_ledger_option, config_option, json_option, logging_options
from emwatch.cli.parameter_types import Category, Words
from emwatch.cli.reviewing import login, record, review_of
from emwatch.cli.terminal.display import (
    Column,
    common_folder,
    counted,
    is_narrow,
    is_terminal,
    moment_texts,
    print_json,
    print_table,
    printable,
)
from emwatch.clock import SystemClock
from emwatch.errors import EmwatchError
from emwatch.frame import Review, ReviewVerdict, path_to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.config import Config
    from emwatch.ledger.filters import LogFilter
    from emwatch.ledger.log_row import LogRow
    from emwatch.ledger.query import ReviewRow, ToReview
    from emwatch.ledger.server.connect import Server

_LONGEST_NOTE: Final = 1000
_PICTURE_PX: Final = 800
_LISTED = (
    Column("Reviewed", whole=True),
    Column("By", spare=3),
    Column("No.", align="right"),
    Column("Verdict"),
    Column("Counts", whole=True, spare=2),
    Column("Note", spare=1),
    Column("File", shorten=True),
)


@click.command(short_help="Record what frames really show.")
@click.argument("frames", nargs=-1, metavar="[FRAME]...")
@click.option(
    "--as",
    "relabel",
    metavar="CATEGORY",
    type=Category(),
    help="The frames are of this category.",
)
@click.option("--confirm", is_flag=True, help="The model is right: the frames are of the category it gave last.")
@click.option("--reject", is_flag=True, help="The frames are of no category, or unusable.")
@click.option("--unsure", is_flag=True, help="The category cannot be decided; also cancels an earlier review.")
@click.option("--by", metavar="NAME", type=Words(), help="The reviewer; default: the login name.")
@click.option("--note", metavar="TEXT", type=Words(), default="", help="The reason, in your words.")
@click.option("--list", "listing", is_flag=True, help="List reviews, the newest first; the filters choose frames.")
@click.option("--yes", is_flag=True, help="Do not ask before many frames are reviewed at once.")
@frame_filters
@asked_ledger_option
@config_option
@json_option
@logging_options
def review(
    frames: tuple[str, ...],
    by: str | None,
    note: str,
    listing: bool,
    yes: bool,
    ledger: Path | str | None,
    config_file: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """
    Record what frames really show. FRAME is the number that emwatch log shows (`id` in --json) or a path.

    Without FRAME and verdict it shows one frame after the other on the terminal, hits first, then the least certain, and
    takes one key an answer. With a verdict and filters instead of FRAME it reviews all frames that fit and that nobody has
    reviewed, after it has said how many.

    Reviews are added, never overwritten; the newest of a frame counts.
    They change no prediction and raise no alert; `emwatch log` shows them, and `emwatch train heads --from-log` learns
    from them. The daemon may run: it records them within seconds.

    For example:

    \b
      emwatch review 17 18 --as Nanowires --note "bundles, see notebook"
      emwatch review frames/wafer7_003.tif --confirm
      emwatch review --session last
      emwatch review --confirm --session last --min-probability 0.95
      emwatch review --list --session last
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    verdict = _verdict(asked)
    if listing and (frames or verdict):
        raise click.UsageError("--list takes filters, and neither frames nor a verdict")
    if frames and _given(asked):
        raise click.UsageError("name frames, or choose them by filters; not both")
    if verdict and not frames and not _given(asked):
        raise click.UsageError("name the frames, or choose them by filters such as --session last")
    if frames and not verdict:
        raise click.UsageError("say --as CATEGORY, --confirm, --reject or --unsure")
    if len(note) > _LONGEST_NOTE:
        raise click.UsageError(f"--note is longer than {_LONGEST_NOTE} characters")
    config, place = asked_ledger(config_file, ledger)
    if listing:
        _list(place, asked, as_json=as_json)
        return
    if not isinstance(place, Path):
        raise click.UsageError("a server only lists reviews, with --list: to review, use the ledger of the microscope")
    name = by or login()
    if verdict is None:
        _ask(config, filter_of(asked), name, note)
        return
    meant = _frames(config, frames) if frames else _chosen(config, filter_of(asked), verdict, asked["relabel"], yes=yes)
    made = [review_of(each.frame_id, each.path, each.category, verdict, asked["relabel"], name, note) for each in meant]
    recorded = record(config, made)
    _report(meant, made, as_json=as_json, recorded=recorded)


def _unreviewed(config: Config, wanted: LogFilter) -> list[LogRow]:
    from emwatch.ledger.query import LedgerReader

    with LedgerReader(config.ledger.path) as reader:
        found = list(reader.rows(wanted if wanted.reviewed else replace(wanted, reviewed=False)))
    if not found:
        click.echo("no frame is left to review", err=True)
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)
    return found


def _chosen(
    config: Config, wanted: LogFilter, verdict: ReviewVerdict, relabel: str | None, *, yes: bool
) -> list[ToReview]:
    """Return the frames that the filters mean, after the user agreed; what was reviewed before only with --reviewed."""
    from emwatch.ledger.query import ToReview

    rows = _unreviewed(config, wanted)
    if verdict is ReviewVerdict.CONFIRM:
        rows = [each for each in rows if each.category is not None]
        of = Counter(each.category for each in rows)
        what = f"confirm {counted(len(rows), 'frame')}: " + ", ".join(f"{n} {name}" for name, n in of.most_common())
    else:
        what = f"review {counted(len(rows), 'frame')} as {relabel or verdict.value}"
    if not yes:
        if not is_terminal(sys.stdin):
            raise click.UsageError(f"this would {what}; say --yes")
        click.confirm(what, abort=True, err=True)
    return [ToReview(each.id, each.path, each.category) for each in rows]


def _ask(config: Config, wanted: LogFilter, by: str, note: str) -> None:
    """Show frames one after the other, and record what is answered."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise click.UsageError(
            "without a terminal, name frames and say --as CATEGORY, --confirm, --reject or --unsure; or ask with --list"
        )
    from emwatch.cli.terminal.review_queue import ReviewQueue, ask, in_order
    from emwatch.ledger.filters import LogFilter
    from emwatch.ledger.query import LedgerReader
    from emwatch.pictures.reader import PictureReader
    from emwatch.readers.sandbox.limits import reading_limits

    def save(row: LogRow, answer: tuple[ReviewVerdict, str | None]) -> None:
        verdict, relabel = answer
        record(config, [review_of(row.id, row.path, row.category, verdict, relabel, by, note)], wait=False)

    def is_open(row: LogRow) -> bool:
        if wanted.reviewed:  # meant to be reviewed once more
            return True
        with LedgerReader(config.ledger.path) as reader:
            return reader.count(LogFilter(ids=(row.id,), reviewed=False)) > 0

    queue = ReviewQueue(in_order(_unreviewed(config, wanted)), save, is_open)
    with closing(PictureReader(reading_limits(config))) as pictures:
        ask(
            queue,
            lambda row: pictures.read(row.path, _PICTURE_PX, sha256=row.sha256, pixel_size_nm=row.pixel_size_nm).jpeg,
        )
    click.echo(f"{counted(queue.saved, 'frame')} reviewed, {len(queue.frames) - queue.at} left")


def _verdict(asked: dict[str, Any]) -> ReviewVerdict | None:
    words = [name for name in ("confirm", "reject", "unsure") if asked.pop(name)]
    if asked["relabel"]:
        words.append("relabel")
    if len(words) > 1:
        raise click.UsageError("--as, --confirm, --reject and --unsure exclude each other")
    return ReviewVerdict(words[0]) if words else None


def _given(asked: dict[str, Any]) -> bool:
    return any(value not in {None, False, ()} for name, value in asked.items() if name != "relabel")


def _frames(config: Config, named: Sequence[str]) -> list[ToReview]:
    """Find all frames that are named, each once, or tell all that are not there."""
    from emwatch.ledger.query import LedgerReader

    found: dict[int, ToReview] = {}
    unknown = []
    with LedgerReader(config.ledger.path) as reader:
        for name in named:
            number = reader.number_meant(name)
            frame = None if number is None else reader.to_review(number)
            if frame is None:
                unknown.append(path_to_text(Path(name)))
            else:
                found[frame.frame_id] = frame
    if unknown:
        raise EmwatchError(
            f"no recorded frame is {', '.join(unknown)}: give the number that emwatch log shows, or "
            "the path; nothing was reviewed"
        )
    return list(found.values())


def _report(meant: list[ToReview], made: list[Review], *, as_json: bool, recorded: bool) -> None:
    if as_json:
        rows = zip(meant, made, strict=True)
        print_json({"recorded": recorded, "reviews": [_document(frame.path, each) for frame, each in rows]})
    for frame, each in zip(meant, made, strict=True) if not as_json else ():
        said = {"confirm": f"is {each.category}", "relabel": f"is {each.category}, not {frame.category}"}
        if each.category == frame.category:
            said["relabel"] = said["confirm"]
        words = said.get(each.verdict, each.verdict)
        click.echo(f"{frame.frame_id}  {printable(path_to_text(frame.path))}  {words}")
    if not recorded:
        click.echo(
            "these wait beside the ledger: emwatch, which has it now, records them when it comes to it", err=True
        )


def _document(path: Path, each: Review | ReviewRow) -> dict[str, Any]:
    return {
        "frame_id": each.frame_id,
        "path": path,
        "verdict": each.verdict.value,
        "category": each.category,
        "reviewed_by": each.reviewed_by,
        "reviewed_at": each.reviewed_at.astimezone(),
        "note": each.note,
    }


def _list(place: Path | Server, asked: dict[str, Any], *, as_json: bool) -> None:
    from emwatch.ledger.query import LedgerReader

    with LedgerReader(place) as reader:
        rows = reader.reviews(filter_of(asked))
    if as_json:
        print_json([{"id": each.id, **_document(each.path, each), "counts": each.counts} for each in rows])
    elif rows:
        below = common_folder([each.path for each in rows])
        moments = moment_texts([each.reviewed_at for each in rows], SystemClock().now(), narrow=is_narrow())
        print_table(_LISTED, [_cells(each, at, below) for each, at in zip(rows, moments, strict=True)])
    else:
        click.echo("nothing was reviewed", err=True)
    if not rows:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _cells(row: ReviewRow, reviewed_at: str, below: Path | None) -> tuple[str, ...]:
    return (
        reviewed_at,
        row.reviewed_by,
        str(row.frame_id),
        row.verdict if row.category is None else f"{row.verdict}: {row.category}",
        "yes" if row.counts else "no",
        row.note,
        path_to_text(row.path if below is None else row.path.relative_to(below)),
    )
