"""Rows of the log on stdout: a table for people; JSON and NDJSON written row by row for machines."""

from __future__ import annotations

from dataclasses import fields
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from emwatch.cli.terminal.display import (
    Column,
    category_text,
    common_folder,
    is_narrow,
    local_time,
    moment_texts,
    print_json_list,
    print_ndjson,
    print_table,
    printable,
)
from emwatch.clock import SystemClock
from emwatch.frame import FrameState, path_to_text
from emwatch.units import degrees_text, number_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from emwatch.ledger.query import LedgerReader, LogFilter, LogRow

Row = TypeVar("Row")

_COLUMNS = (
    Column("No.", align="right"),
    Column("Recorded", whole=True),
    Column("Category", whole=True),
    Column("Reviewed", whole=True, spare=2),
    Column("Prob.", align="right"),
    Column("Magn.", align="right", spare=3),
    Column("Tilt °", align="right", spare=4),
    Column("Target", style="bold", spare=1),
    Column("Note", spare=5),
    Column("File", shorten=True),
)
#: Columns that most logs have no word for: one without any would waste space.
_SELDOM = ("Note", "Reviewed")
_STYLES = {FrameState.FAILED: "red", FrameState.SKIPPED: "dim", FrameState.BASELINE: "dim"}


def row_document(row: LogRow) -> dict[str, Any]:
    """Return a row as plain data; times local, with their offset."""
    document = {field.name: getattr(row, field.name) for field in fields(row)}
    document["path"] = path_to_text(row.path)
    document["state"] = row.state.value
    for name in ("recorded_at", "file_modified_at", "alerted_at"):
        document[name] = local_time(document[name])
    document["scores"] = None if row.scores is None else dict(row.scores)
    document["targets"] = list(row.targets)
    return document


def print_fields(reader: LedgerReader, wanted: LogFilter, names: list[str], shape: str, parquet: Path | None) -> int:
    """Print the named fields of rows, all if none is named, in one of the shapes; return the number of rows."""
    if shape in {"csv", "tsv"}:
        from emwatch.cli.terminal.separated import print_separated

        return print_separated(reader, wanted, names, "," if shape == "csv" else "\t")
    rows = reader.rows(wanted)
    if parquet is not None:
        from emwatch.cli.terminal.parquet import write_parquet

        return write_parquet(rows, names, parquet)
    documents: Iterable[dict[str, Any]] = map(row_document, rows)
    if names:
        documents = ({name: document[name] for name in names} for document in documents)
    if shape == "ndjson":
        found = print_ndjson(documents)
    elif shape == "json":
        found = print_json_list(documents)
    else:
        cells = [["" if value is None else str(value) for value in document.values()] for document in documents]
        found = len(cells)
        if cells:
            print_table([Column(name) for name in names], cells)
    return found


def in_groups(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yield the rows in lists of this size, the last one shorter."""
    left = iter(rows)
    for first in left:
        yield list(chain([first], islice(left, size - 1)))


def print_rows(rows: Iterable[LogRow]) -> int:
    """Print a table for people. Returns the number of rows."""
    shown = list(rows)
    if not shown:
        return 0
    below = common_folder([row.path for row in shown])
    styles = [_STYLES.get(row.state, "green" if row.targets else "") for row in shown]
    narrow = is_narrow()
    moments = moment_texts([row.recorded_at for row in shown], SystemClock().now(), narrow=narrow)
    cells = [list(_cells(row, at, below, narrow=narrow)) for row, at in zip(shown, moments, strict=True)]
    columns = list(_COLUMNS)
    for seldom in _SELDOM:
        at = next(at for at, column in enumerate(columns) if column.title == seldom)
        if not any(row[at] for row in cells):
            del columns[at]
            cells = [[*row[:at], *row[at + 1 :]] for row in cells]
    print_table(columns, cells, styles=styles)
    return len(shown)


def row_line(row: LogRow) -> str:
    """Return a row as one line for people: time, category, probability, magnification, targets, file."""
    [moment] = moment_texts([row.recorded_at], row.recorded_at, narrow=False)
    _, at, said, _, probability, magnification, _, targets, _, path = _cells(row, moment, None, narrow=False)
    line = f"{at}  {said:<28} {probability:>5} {magnification:>9}  {printable(path)}"
    return f"{line}  {printable(targets)}" if targets else line


def _cells(row: LogRow, recorded_at: str, below: Path | None, *, narrow: bool) -> Iterator[str]:
    yield str(row.id)
    yield recorded_at
    if row.category is not None:
        yield f"{category_text(row.category, narrow=narrow)}{' ?' if row.uncertain else ''}"
    else:
        yield f"{row.state.value}: {row.code}" if row.code else row.state.value
    yield category_text(row.reviewed or "", narrow=narrow)
    yield "" if row.probability is None else f"{row.probability:.2f}"
    yield "" if row.magnification is None else number_text(row.magnification)
    yield "" if row.stage_tilt_deg is None else degrees_text(row.stage_tilt_deg)
    yield ", ".join(row.targets)
    yield row.notes or ""
    yield path_to_text(row.path if below is None else row.path.relative_to(below))
