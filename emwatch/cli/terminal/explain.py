"""``emwatch meta --explain``: every field with its source, and why a value is missing or rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.terminal.display import Column, print_table, printable, wants_colour
from emwatch.frame import DATA_BAR_SOURCE, FIELDS
from emwatch.readers.value_text import value_text

if TYPE_CHECKING:
    from emwatch.frame import AcquisitionMetadata, FrameReading, Reading


def recognised_by(metadata: AcquisitionMetadata) -> str:
    """Return a sentence: which reader recognised the frame, and in which parts of the file it found values."""
    from emwatch.readers.registry import READERS

    reader = next((each for each in READERS if each.vendor == metadata.vendor), None)
    if reader is None:
        return (
            f"none of {len(READERS)} readers recognised the frame: it holds no maker's tag, and no sidecar is beside it"
        )
    places = dict.fromkeys(
        place
        for each in metadata.readings.values()
        if (place := _place(each.source)) and each.source != DATA_BAR_SOURCE
    )
    module = type(reader).__module__.rpartition(".")[2]
    return f"recognised by the reader {module!r} ({metadata.vendor}), from {', '.join(places) or 'its tag'}"


def print_explanation(reading: FrameReading, bar: AcquisitionMetadata | None, bar_unread: str) -> None:
    """Print a row for every field; ``bar``: what the data bar shows, ``None`` if it was not read."""
    metadata = reading.metadata
    columns = [
        Column("Field"),
        Column("Value", style="bold"),
        Column("As written"),
        Column("From", style="dim"),
        Column("Data bar"),
        Column("Why"),
    ]
    print_table(columns, [_row(name, metadata, bar) for name in FIELDS])
    if bar is None and bar_unread:
        click.echo(f"Data bar not read: {bar_unread}")


def explained(reading: FrameReading, bar: AcquisitionMetadata | None, bar_unread: str) -> dict[str, Any]:
    """Return the explanation as a part of a frame's JSON document."""
    seen = {} if bar is None else bar.readings
    return {
        "recognised": recognised_by(reading.metadata),
        "data_bar": {
            "read": bar is not None,
            "reason": bar_unread,
            "readings": {
                name: {"value": each.value, "raw": each.raw, "reason": each.reason} for name, each in seen.items()
            },
        },
        "why": {name: why(name, reading.metadata, bar) for name in FIELDS},
    }


def why(name: str, metadata: AcquisitionMetadata, bar: AcquisitionMetadata | None) -> str:
    """Return how a value was found, or why it is missing or rejected, and a contradiction of the data bar."""
    kept = metadata.readings.get(name)
    if kept is None:
        nowhere = "not in the file" if metadata.vendor else "no metadata in the file"
        return nowhere if bar is None else f"{nowhere}, nor readable in a data bar"
    words = []
    if kept.value is None:
        words.append(f"not believed: {kept.reason or 'no value in the text'}")
    elif kept.computed:
        words.append(f"computed: {kept.reason}" if kept.reason else "computed")
    else:
        words.append(kept.reason)
    words += [flag for flag in metadata.flags if flag.startswith(f"{name}: ")]
    return "; ".join(word for word in words if word)


def _row(name: str, metadata: AcquisitionMetadata, bar: AcquisitionMetadata | None) -> list[str]:
    kept = metadata.readings.get(name)
    seen = None if bar is None else bar.readings.get(name)
    return [
        FIELDS[name].title,
        value_text(name, kept),
        "" if kept is None else kept.raw,
        "" if kept is None else kept.source,
        "" if seen is None else value_text(name, seen),
        why(name, metadata, bar),
    ]


def _place(source: str) -> str:
    """Return the block that a source names: ``tag 34118`` of ``tag 34118 AP_MAG``, ``sidecar`` of ``sidecar $CM_MAG``."""
    first, _, rest = source.partition(" ")
    return f"{first} {rest.split(' ')[0]}" if first == "tag" and rest else first


def print_values(metadata: AcquisitionMetadata, *, raw: bool) -> None:
    """Print the values of a frame with their sources, what does not agree, and what is not stated; ``raw``: also as written."""
    known = [(name, metadata.readings[name]) for name in FIELDS if name in metadata.readings]
    if known:
        columns = [Column("Field", whole=True), Column("Value", style="bold"), Column("From", style="dim")]
        rows = [[FIELDS[name].title, value_text(name, each), _source_text(each)] for name, each in known]
        if raw:
            columns.insert(2, Column("As written"))
            for row, (_, each) in zip(rows, known, strict=True):
                row.insert(2, each.raw)
        print_table(columns, rows)
    print_flags(metadata)
    if missing := [field.title for name, field in FIELDS.items() if name not in metadata.readings]:
        click.secho(f"Not stated: {', '.join(missing)}", dim=True, color=wants_colour())


def print_flags(metadata: AcquisitionMetadata) -> None:
    """Print what does not agree in a frame's metadata."""
    for flag in metadata.flags:
        click.secho(f"! {printable(flag)}", fg="yellow", color=wants_colour())


def _source_text(reading: Reading) -> str:
    parts = (reading.source, "computed" if reading.computed else "", reading.reason)
    return "; ".join(part for part in parts if part)
