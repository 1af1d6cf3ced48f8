"""The example plate of a dataset: a row of frames for each category, taken from as many sources as there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.errors import FrameError
from emwatch.frame import CATEGORIES
from emwatch.report.sheet import Print, SheetRow, contact_sheet
from emwatch.train.dataset.survey import read_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.train.dataset.survey import Look


def example_plate(looks: Sequence[Look], columns: int = 8) -> bytes:
    """Draw up to ``columns`` frames of each category as the network sees them, one source after the other; returns a PNG file."""
    chosen = {
        name: _spread([look for look in looks if look.frame.category == at], columns)
        for at, name in enumerate(CATEGORIES)
    }
    readings = read_all([look.frame.path for each in chosen.values() for look in each])
    rows = []
    for index, (name, examples) in enumerate(chosen.items()):
        prints = [
            Print(result.views[0], (look.frame.source,))
            for look, result in zip(examples, readings, strict=False)
            if not isinstance(result, FrameError)
        ]
        count = sum(look.frame.category == index for look in looks)
        rows.append(SheetRow(name, f"{count} frame{'s' if count != 1 else ''}", prints))
    return contact_sheet(rows, columns)


def _spread(looks: Sequence[Look], count: int) -> list[Look]:
    """Take one frame of each source in turn, until there are enough."""
    waiting: dict[str, list[Look]] = {}
    for look in looks:
        if look.is_read:
            waiting.setdefault(look.frame.source, []).append(look)
    taken: list[Look] = []
    while waiting and len(taken) < count:
        for source in list(waiting):
            taken.append(waiting[source].pop(0))
            if not waiting[source]:
                del waiting[source]
    return taken[:count]
