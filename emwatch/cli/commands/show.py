"""``emwatch show``: everything that is known of one frame."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.commands.note import note_document
from emwatch.cli.options import (
    asked_ledger,
    asked_ledger_option,
    config_option,
    json_option,
    logging_options,
)
from emwatch.cli.terminal.display import Column, is_terminal, print_json, print_table, printable, wants_colour
from emwatch.cli.terminal.explain import print_values
from emwatch.cli.terminal.log_rows import row_document
from emwatch.errors import EmwatchError, TargetError
from emwatch.frame import CATEGORIES, FIELDS, FrameState, path_to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from emwatch.config import Config
    from emwatch.frame import AcquisitionMetadata
    from emwatch.ledger.query import LogRow, NoteRow, ReviewRow
    from emwatch.ledger.server.connect import Server
    from emwatch.ledger.tellings import AlertRow
    from emwatch.teaching.targets import ScoredFrame

_MOST_ALERTS: Final = 100
_SIMILAR: Final = 5
_PICTURE_PX: Final = 800
_LEAST_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger holds of a frame."""

    row: LogRow
    metadata: AcquisitionMetadata | None
    scores: Mapping[str, Mapping[str, float]]  #: by the sha256 of the bundle, the newest first
    alerts: list[AlertRow]
    reviews: list[ReviewRow]
    notes: list[NoteRow]
    similar: list[ScoredFrame]


@click.command(short_help="Show everything about one frame.")
@click.argument("frame")
@click.option(
    "--similar",
    metavar="N",
    type=click.IntRange(0, 100),
    default=_SIMILAR,
    show_default=True,
    help="So many that look alike.",
)
@click.option("--picture/--no-picture", default=None, help="Show its picture; default: on a terminal.")
@asked_ledger_option
@config_option
@json_option
@logging_options
def show(
    frame: str,
    similar: int,
    ledger: Path | str | None,
    config_file: Path | None,
    *,
    picture: bool | None,
    as_json: bool,
) -> None:
    """
    Show everything about one frame. FRAME is the number that emwatch log shows, or a path.

    Every value with the place it comes from, what each model says, alerts, reviews, notes, and the frames that look most
    alike. The file itself is opened for its picture only.
    """
    config, place = asked_ledger(config_file, ledger)
    known = _known(config, place, frame, similar if isinstance(place, Path) else 0)
    if as_json:
        print_json(_document(known))
        return
    _print(known)
    wanted = is_terminal(sys.stdout) if picture is None else picture
    if wanted and known.row.state is FrameState.RECORDED:
        click.echo(f"\n{_picture(config, known.row)}")


def _picture(config: Config, row: LogRow) -> str:
    """Return what shows a frame's picture on this terminal, or a sentence why there is none."""
    from emwatch.pictures.in_terminal import drawn, protocol
    from emwatch.pictures.reader import PictureReader
    from emwatch.readers.sandbox.limits import reading_limits

    columns, lines = shutil.get_terminal_size()
    try:
        with closing(PictureReader(reading_limits(config))) as pictures:
            jpeg = pictures.read(row.path, _PICTURE_PX, sha256=row.sha256, pixel_size_nm=row.pixel_size_nm).jpeg
    except EmwatchError as error:
        return f"no picture: {printable(str(error))}"
    true_colour = os.environ.get("COLORTERM") in {"truecolor", "24bit"}
    return drawn(jpeg, protocol(os.environ), columns, max(_LEAST_LINES, lines // 2), true_colour=true_colour)


def _known(config: Config, place: Path | Server, frame: str, similar: int) -> _Known:
    from emwatch.ledger.query import LedgerReader, LogFilter

    with LedgerReader(place) as reader:
        this = LogFilter(ids=(reader.number_meant(frame) or 0,), superseded=True, states=tuple(FrameState))
        row = next(reader.rows(this), None)
        if row is None:
            raise EmwatchError(
                f"no frame is {path_to_text(Path(frame))}: give the number that emwatch log shows, or the path"
            )
        known = _Known(
            row,
            reader.metadata(row.id),
            reader.scores(row.id),
            reader.alerts(limit=_MOST_ALERTS, frame_id=row.id),
            reader.reviews(this),
            reader.notes(frame_id=row.id),
            [],
        )
    known.similar.extend(_similar(config, row.id, similar))
    return known


def _similar(config: Config, frame_id: int, limit: int) -> list[ScoredFrame]:
    if not limit:
        return []
    from emwatch.teaching.targets import similar

    try:
        return similar(config, frame_id, limit=limit)
    except TargetError:  # no embedding: then nothing can be compared
        return []


def _document(known: _Known) -> dict[str, Any]:
    metadata = known.metadata
    readings = {} if metadata is None else metadata.readings
    return {
        **row_document(known.row),
        "metadata": {
            name: {
                "value": each.value,
                "raw": each.raw,
                "source": each.source,
                "computed": each.computed,
                "reason": each.reason,
            }
            for name in FIELDS
            if (each := readings.get(name)) is not None
        },
        "flags": [] if metadata is None else list(metadata.flags),
        "predictions": [{"bundle_sha256": bundle, "scores": dict(scores)} for bundle, scores in known.scores.items()],
        "alerts": [each.document() for each in known.alerts],
        "reviews": [
            {
                "verdict": each.verdict.value,
                "category": each.category,
                "reviewed_by": each.reviewed_by,
                "reviewed_at": each.reviewed_at.astimezone(),
                "note": each.note,
                "counts": each.counts,
            }
            for each in known.reviews
        ],
        "notes": [note_document(each) for each in known.notes],
        "similar": [
            {"frame_id": each.frame.frame_id, "path": each.frame.path, "score": round(each.score, 4)}
            for each in known.similar
        ],
    }


def _print(known: _Known) -> None:
    row = known.row
    click.secho(printable(path_to_text(row.path)), bold=True, color=wants_colour())
    print_table((Column("Frame", whole=True), Column(str(row.id))), list(_facts(known)))
    if known.metadata is not None and known.metadata.readings:
        click.echo()
        print_values(known.metadata, raw=False)
    for title, columns, rows in _lists(known):
        if rows:
            click.secho(f"\n{title}", bold=True, color=wants_colour())
            print_table(columns, rows)


def _facts(known: _Known) -> Iterator[tuple[str, str]]:
    row = known.row
    yield "recorded", f"{row.recorded_at.astimezone():%Y-%m-%d %H:%M:%S}"
    if row.state is not FrameState.RECORDED:
        yield str(row.state), f"{row.code}: {row.reason}" if row.code else ""
    for name, value in (
        ("session", row.session),
        ("instrument", row.instrument),
        ("operator", row.operator),
        ("sample", row.sample),
        ("targets", ", ".join(row.targets)),
        ("reviewed", row.reviewed),
        ("sha256", row.sha256),
        ("copy of", row.duplicate_of),
        ("overwrote", row.supersedes),
        ("overwritten by", row.superseded_by),
    ):
        if value:
            yield name, str(value)
    if row.category is not None:
        doubt = ", uncertain" if row.uncertain else ""
        novelty = "" if row.novelty is None else f", novelty {row.novelty:.2f}"
        yield "category", f"{row.category} {row.probability:.2f}, margin {row.margin:.2f}{novelty}{doubt}"


def _lists(known: _Known) -> Iterator[tuple[str, tuple[Column, ...], list[tuple[str, ...]]]]:
    scores = list(known.scores.items())
    titles = (Column("Category", whole=True), *(Column(bundle[:8], align="right") for bundle, _ in scores))
    first = scores[0][1] if scores else {}
    names = sorted(CATEGORIES, key=lambda name: -first.get(name, 0.0)) if scores else []
    yield (
        "What each model says, the newest first",
        titles,
        [(name, *(f"{each.get(name, 0.0):.3f}" for _, each in scores)) for name in names],
    )
    yield (
        "Alerts",
        (
            Column("Queued", whole=True),
            Column("Channel"),
            Column("Target"),
            Column("State"),
            Column("Told", whole=True),
        ),
        [
            (_at(each.created_at), each.channel, each.target, _how(each), _at(each.delivered_at))
            for each in known.alerts
        ],
    )
    yield (
        "Reviews, the newest counts",
        (Column("At", whole=True), Column("By"), Column("Verdict"), Column("Note")),
        [
            (_at(each.reviewed_at), each.reviewed_by, each.category or str(each.verdict), each.note)
            for each in known.reviews
        ],
    )
    yield (
        "Notes",
        (Column("No.", align="right"), Column("At", whole=True), Column("By"), Column("Note")),
        [(str(each.id), _at(each.written_at), each.written_by, each.text) for each in known.notes],
    )
    yield (
        "Frames that look most alike",
        (
            Column("Score", align="right"),
            Column("No.", align="right"),
            Column("Category"),
            Column("File", shorten=True),
        ),
        [
            (f"{each.score:.2f}", str(each.frame.frame_id), each.frame.category or "", path_to_text(each.frame.path))
            for each in known.similar
        ],
    )


def _at(moment: Any) -> str:
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _how(alert: Any) -> str:
    """Return the state of an alert; of one that waits, what holds it back."""
    return str(alert.held if alert.held and alert.state == "pending" else alert.state)
