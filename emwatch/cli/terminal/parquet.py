"""Rows of the log as a Parquet file, in groups of rows; needs pyarrow."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.terminal.log_rows import in_groups
from emwatch.frame import path_to_text
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from emwatch.ledger.query import LogRow

_GROUP: Final = 20_000


def write_parquet(rows: Iterable[LogRow], names: list[str], target: Path) -> int:
    """
    Write the named fields of rows, all if none is named; return the number of rows.

    The file appears when it is whole. Times are UTC with microseconds; scores are JSON. Raises click's usage error
    without pyarrow.
    """
    from emwatch.ledger.query import LogRow

    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise click.UsageError("--parquet needs pyarrow: pip install 'emwatch[parquet]'") from error
    wanted = [each for each in fields(LogRow) if not names or each.name in names]
    schema = pa.schema([(each.name, _type(pa, str(each.type))) for each in wanted])
    found = 0
    with written_whole(target) as made, parquet.ParquetWriter(made, schema) as writer:
        for group in in_groups(rows, _GROUP):
            columns = {each.name: [_value(getattr(row, each.name)) for row in group] for each in wanted}
            writer.write_table(pa.table(columns, schema=schema))
            found += len(group)
    return found


def _type(pa: Any, annotation: str) -> Any:
    plain = annotation.removesuffix(" | None")
    types = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "datetime": pa.timestamp("us", "UTC")}
    if plain == "tuple[str, ...]":
        return pa.list_(pa.string())
    return types.get(plain, pa.string())


def _value(value: Any) -> Any:
    if hasattr(value, "__fspath__"):
        return path_to_text(value)
    if isinstance(value, dict):
        return json.dumps(value)
    return list(value) if isinstance(value, tuple) else value
