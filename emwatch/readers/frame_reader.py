"""One frame, read in this process: bytes, header, metadata, pixels, views. The sandbox does the same in a child."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from emwatch import errors
from emwatch.frame import NETWORK_SIDE_PX, AcquisitionMetadata, FrameReading, path_to_text
from emwatch.readers import image
from emwatch.readers.checks import scale_bar_disagreement
from emwatch.readers.data_bar.bar import Bar, find_bar
from emwatch.readers.header_text import OLDER_S
from emwatch.readers.raw_frame import RawFrame, sidecar_beside
from emwatch.readers.registry import read_header
from emwatch.readers.sandbox.limits import Limits
from emwatch.readers.sandbox.snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from emwatch.frame import StatKey

#: From decoded pixels (height x width, or height x width x 3) and the rows of the data bar, if known, to the views.
Prepare: TypeAlias = "Callable[[npt.NDArray[Any], int | None], npt.NDArray[np.float32]]"


#: A text that is older than its picture by more than this may be that of an earlier frame of the name.
_OLDER_NS: Final = int(OLDER_S * 1e9)

#: A pixel has a colour if its channels lie so far apart, as a share of the whole range.
_COLOURED: Final = 0.1
_COLOUR_SAMPLE_PX: Final = 40_000


def read_frame(path: Path, prepare: Prepare | None, limits: Limits | None = None) -> FrameReading:
    """
    Read one frame: its identity, metadata and views.

    ``prepare`` makes float32 views of shape (n, 170, 170) from the decoded pixels; without it the pixels are not decoded
    and there are no views. Damaged metadata never costs the frame. Raises a `errors.FrameError`.
    """
    limits = limits or Limits()
    snapshot = take_snapshot(path, limits.file_bytes, check=partial(image.check_start, limits=limits))
    name = path_to_text(path)
    header = image.read_header(name, snapshot.data, limits)
    raw = RawFrame(
        path,
        snapshot.data,
        header.image_format,
        header.width,
        header.height,
        header.pages,
        header.picture,
        sidecar_beside(path),
        snapshot.stat_key.mtime_ns / 1e9,
    )
    metadata, scale_bar_nm = _metadata(raw)
    unsettled = _why_unsettled(header, metadata, snapshot.stat_key)
    views, share = np.empty((0, NETWORK_SIDE_PX, NETWORK_SIDE_PX), np.float32), 0.0
    if prepare is not None:
        pixels = image.decode(name, snapshot.data, header)
        bar = find_bar(pixels)
        metadata = _checked(metadata, bar, scale_bar_nm)
        rows = _data_bar_rows(bar, pixels, metadata)
        share = coloured_share(pixels[: -rows or None] if rows else pixels)
        try:
            views = np.ascontiguousarray(prepare(pixels, rows), np.float32)
        except errors.FrameError as error:
            raise type(error)(f"{name}: {error}") from error
    return FrameReading(
        path=path,
        sha256=snapshot.sha256,
        stat_key=snapshot.stat_key,
        image_format=header.image_format,
        width=header.width,
        height=header.height,
        pixel_type=header.pixel_type,
        pages=max(1, len(header.pages)),
        metadata=metadata,
        views=views,
        coloured_share=share,
        unsettled=unsettled,
    )


def _why_unsettled(header: image.Header, metadata: AcquisitionMetadata, key: StatKey) -> str:
    """Return why a frame, whole by its structure, may still change: "" if nothing suggests it."""
    if header.black_tail:
        return "its last rows are black, or not written yet"
    if metadata.sidecar is not None and metadata.sidecar.mtime_ns < key.mtime_ns - _OLDER_NS:
        return f"{metadata.sidecar.name} is older than the picture: its own text may still come"
    return ""


def coloured_share(pixels: npt.NDArray[Any]) -> float:
    """
    Return how much of a picture, (height, width) or (height, width, channels), has a colour: a share from 0 to 1.

    A pixel has one if its channels differ by more than JPEG makes of grey. Looks at 40,000 pixels, evenly spread.
    """
    if pixels.ndim != 3 or pixels.shape[2] < 3 or pixels.size == 0:
        return 0.0
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / _COLOUR_SAMPLE_PX) ** 0.5))
    sample = pixels[::step, ::step, :3].astype(np.float64)
    whole = 255.0 if pixels.dtype == np.uint8 else float(sample.max()) or 1.0
    return float((np.ptp(sample, axis=2) > _COLOURED * whole).mean())


def _checked(metadata: AcquisitionMetadata, bar: Bar | None, scale_bar_nm: float | None) -> AcquisitionMetadata:
    """Flag a scale bar in the picture that contradicts the pixel size."""
    pixel_nm = metadata.number("pixel_size_nm")
    if pixel_nm is None or bar is None or bar.ruler is None:
        return metadata
    flag = scale_bar_disagreement(pixel_nm, bar.ruler.length_px, scale_bar_nm)
    return replace(metadata, flags=(*metadata.flags, flag)) if flag else metadata


def _data_bar_rows(bar: Bar | None, pixels: npt.NDArray[Any], metadata: AcquisitionMetadata) -> int | None:
    """Return the rows at the foot that show no specimen: as the instrument says, else the strip found in the picture."""
    stated = metadata.number("data_bar_height_px")
    if stated is not None:
        return int(stated)
    return pixels.shape[0] - bar.top if bar is not None and bar.kind == "strip" else None


def _metadata(raw: RawFrame) -> tuple[AcquisitionMetadata, float | None]:
    try:
        return read_header(raw)
    except Exception as error:  # noqa: BLE001 - a header no one foresaw must cost its metadata, never the frame.
        return AcquisitionMetadata(flags=(f"metadata could not be read ({type(error).__name__}: {error})"[:200],)), None
