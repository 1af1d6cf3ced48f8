"""Rows of the log as CSV or TSV, made column by column out of values as the ledger stores them: for millions of rows."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.terminal.display import csv_cell, local_time
from emwatch.cli.terminal.log_rows import in_groups
from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from emwatch.ledger.query import LedgerReader, LogFilter

    #: From some stored values of a column to its cells.
    Writer = Callable[[Sequence[Any]], Iterable[object]]

_ROWS_AT_A_TIME: Final = 500
#: Scores as the ledger stores them: taking ten numbers apart and writing them again is a fifth of an export.
_ALL_SCORES: Final = re.compile("{" + ",".join(rf'"{category}":([\d.e+-]+)' for category in CATEGORIES) + "}")
#: Texts that hardly come twice; the others are remembered.
_OWN_TO_A_ROW: Final = ("path", "sha256", "reason", "acquired_at", "notes")
#: A time as the ledger writes it, and how much of it is the minute.
_INSTANT: Final = "2026-03-01T12:00:00.000000+00:00"
_MINUTE: Final = 16


def print_separated(reader: LedgerReader, wanted: LogFilter, names: list[str], separator: str) -> int:
    """Print a header and one line a row, without ``names`` with a column for each category's score; return the number."""
    from emwatch.ledger.query import LogRow

    kinds = {field.name: str(field.type) for field in fields(LogRow)}
    columns = names or [*(name for name in kinds if name != "scores"), "scores"]
    writers = [(at, write) for at, name in enumerate(columns) if (write := _writer(name, kinds[name])) is not None]
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n", delimiter=separator)
    lines.writerow(names or [*columns[:-1], *(f"score_{category}" for category in CATEGORIES)])
    found = 0
    for rows in in_groups(reader.stored(wanted, columns), _ROWS_AT_A_TIME):
        found += len(rows)
        cells: list[Iterable[object]] = list(zip(*rows, strict=True))
        for at, write in writers:
            column: Any = cells[at]
            if column.count(None) < len(column):  # `csv` writes nothing for None
                cells[at] = write(column)
        if not names:
            scores: Any = cells.pop()
            cells += zip(*map(_score_cells, scores), strict=True)
        lines.writerows(zip(*cells, strict=True))
        _pour(written)
    _pour(written)
    return found


def _pour(written: io.StringIO) -> None:
    click.echo(written.getvalue(), nl=False)
    written.seek(0)
    written.truncate()


def _score_cells(text: str | None) -> Sequence[object]:
    """Return the score of each category out of a JSON document, as it stands there if all have one."""
    all_of_them = _ALL_SCORES.fullmatch(text or "")
    if all_of_them is not None:
        return all_of_them.groups()
    scores = json.loads(text or "{}")
    return [scores.get(category) for category in CATEGORIES]


def _writer(name: str, kind: str) -> Writer | None:
    """Return what makes the cells of a column; ``None``: they are numbers, which are written as they are."""
    match kind.removesuffix(" | None"):
        case "int" | "float":
            return None
        case "bool":
            return lambda column: map({None: "", 0: "false", 1: "true"}.__getitem__, column)
        case "datetime":
            return _local_times()
        case "tuple[str, ...]":
            return lambda column: ["" if text == "[]" else _joined(text) for text in column]
    write = csv_cell if name in _OWN_TO_A_ROW else lru_cache(maxsize=1000)(csv_cell)
    return lambda column: map(write, column)


def _joined(texts: str) -> str:
    return csv_cell("; ".join(sorted(json.loads(texts))))


def _local_times() -> Writer:
    """Return what writes stored times by this machine's clock; frames come close together, so it looks up each minute once."""

    @lru_cache(maxsize=10_000)
    def around_seconds(minute: str) -> tuple[str, str] | None:
        local = datetime.fromisoformat(f"{minute}+00:00").astimezone()
        offset = local.utcoffset()
        if offset is None or offset.total_seconds() % 60:  # of before 1973: its seconds differ, too
            return None
        text = local.isoformat(timespec="minutes")
        return text[:_MINUTE], text[_MINUTE:]

    def local(text: str | None) -> str | None:
        if text is None:
            return None
        around = around_seconds(text[:_MINUTE]) if len(text) == len(_INSTANT) and text.endswith("+00:00") else None
        if around is None:
            return local_time(datetime.fromisoformat(text))
        return f"{around[0]}{text[_MINUTE:23]}{around[1]}"

    return lambda column: list(map(local, column))
