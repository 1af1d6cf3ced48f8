"""Small pictures of recorded frames for the pages that commands make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from emwatch.cli.terminal.display import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.ledger.positions import Position


def thumbnails(frames: Sequence[Position], longest_px: int) -> dict[int, bytes]:
    """Return JPEG pictures of frames by number; what could not be shown is left out, and counted on stderr."""
    from emwatch.pictures.cache import PictureCache, picture_folder
    from emwatch.pictures.thumbnails import Pictured, opened

    if not frames:
        return {}
    with opened(PictureCache(picture_folder())) as pictures:
        made = {each.frame_id: pictures.jpeg(Pictured.of(each), longest_px) for each in frames}
    if pictures.failed:
        first = printable(next(iter(pictures.failed.values())))
        click.echo(f"no picture of {len(pictures.failed):,}: {first}", err=True)
    return {frame_id: jpeg for frame_id, jpeg in made.items() if jpeg is not None}
