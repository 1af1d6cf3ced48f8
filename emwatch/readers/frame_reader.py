"""One frame, read in this process: bytes, header, metadata, pixels, views. The sandbox does the same in a child."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from emwatch import errors
from emwatch.frame import NETWORK_SIDE_PX, AcquisitionMetadata, FrameReading, path_to_text
from emwatch.readers import image
from emwatch.readers.checks import scale_bar_disagreement
from emwatch.readers.data_bar import Bar, find_bar
from emwatch.readers.limits import Limits
from emwatch.readers.raw_frame import RawFrame, sidecar_beside
from emwatch.readers.registry import read_header
from emwatch.readers.snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

#: From decoded pixels (height x width, or height x width x 3) and the rows of the data bar, where known, to the views.
Prepare: TypeAlias = "Callable[[npt.NDArray[Any], int | None], npt.NDArray[np.float32]]"


def read_frame(path: Path, prepare: Prepare | None, limits: Limits | None = None) -> FrameReading:
    """
    Read one frame: its identity, metadata and views.

    ``prepare`` makes float32 views of shape (n, 170, 170) from the decoded pixels; without it the pixels are not decoded
    and there are no views. Damaged metadata never costs the frame. Raises a `errors.FrameError`.
    """
    limits = limits or Limits()
    snapshot = take_snapshot(path, limits.file_bytes)
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
    views = np.empty((0, NETWORK_SIDE_PX, NETWORK_SIDE_PX), np.float32)
    if prepare is not None:
        pixels = image.decode(name, snapshot.data, header)
        bar = find_bar(pixels)
        metadata = _checked(metadata, bar, scale_bar_nm)
        try:
            views = np.ascontiguousarray(prepare(pixels, _data_bar_rows(bar, pixels, metadata)), np.float32)
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
    )


def _checked(metadata: AcquisitionMetadata, bar: Bar | None, scale_bar_nm: float | None) -> AcquisitionMetadata:
    """Flag a scale bar in the picture that contradicts the pixel size."""
    pixel_nm = metadata.number("pixel_size_nm")
    if pixel_nm is None or bar is None or bar.ruler is None:
        return metadata
    flag = scale_bar_disagreement(pixel_nm, bar.ruler.length_px, scale_bar_nm)
    return replace(metadata, flags=(*metadata.flags, flag)) if flag else metadata


def _data_bar_rows(bar: Bar | None, pixels: npt.NDArray[Any], metadata: AcquisitionMetadata) -> int | None:
    """Give the rows at the foot that show no specimen: as the instrument says, else the strip found in the picture."""
    stated = metadata.number("data_bar_height_px")
    if stated is not None:
        return int(stated)
    return pixels.shape[0] - bar.top if bar is not None and bar.kind == "strip" else None


def _metadata(raw: RawFrame) -> tuple[AcquisitionMetadata, float | None]:
    try:
        return read_header(raw)
    except Exception as error:  # noqa: BLE001 - a header no one foresaw must cost its metadata, never the frame.
        return AcquisitionMetadata(flags=(f"metadata could not be read ({type(error).__name__}: {error})"[:200],)), None
