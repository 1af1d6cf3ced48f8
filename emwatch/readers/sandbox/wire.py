"""
What the sandbox and its child say to each other: a JSON header and raw bytes, each with its length before it.

No pickle: the child has decoded hostile files, so nothing it says may run code, and everything it says is checked.
A path travels as its bytes in Latin-1, which is exact for names that are not valid text.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch import errors
from emwatch.foreign_file import parse_json
from emwatch.frame import FIELDS, NETWORK_SIDE_PX, AcquisitionMetadata, FrameReading, Reading, Sidecar, StatKey

if TYPE_CHECKING:
    from typing import BinaryIO

_LENGTHS: Final = struct.Struct(">II")
_LONGEST_HEADER: Final = 8 * 1024 * 1024
_LONGEST_PAYLOAD: Final = 64 * 1024 * 1024
_MOST_VIEWS: Final = 256

_FRAME_ERROR_KINDS: Final[list[type[errors.FrameError]]] = [errors.FrameError, *errors.FrameError.__subclasses__()]
_FRAME_ERRORS: Final = {kind.__name__: kind for kind in _FRAME_ERROR_KINDS}


class GarbledError(ValueError):
    """A message that does not follow this module: the other side is broken."""


def send(stream: BinaryIO, header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one message."""
    text = json.dumps(header, allow_nan=False).encode()
    stream.write(_LENGTHS.pack(len(text), len(payload)))
    stream.write(text)
    stream.write(payload)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one message, ``None`` at the end of the stream; raises `GarbledError`."""
    lengths = stream.read(_LENGTHS.size)
    if not lengths:
        return None
    if len(lengths) < _LENGTHS.size:
        raise GarbledError("a message ends within its lengths")
    header_bytes, payload_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > _LONGEST_HEADER or payload_bytes > _LONGEST_PAYLOAD:
        raise GarbledError(f"a message of {header_bytes} + {payload_bytes} bytes is too long")
    text, payload = stream.read(header_bytes), stream.read(payload_bytes)
    if len(text) < header_bytes or len(payload) < payload_bytes:
        raise GarbledError("a message ends before it should")
    try:
        header = parse_json(text)
    except ValueError as error:
        raise GarbledError(f"a message is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise GarbledError("a message is not an object")
    return header, payload


def path_as_text(path: Path) -> str:
    """Write a path so that JSON carries it byte for byte."""
    return os.fsencode(path).decode("latin-1")


def text_as_path(text: str) -> Path:
    """Turn text of `path_as_text` back into the path."""
    return Path(os.fsdecode(text.encode("latin-1")))


def metadata_as_message(metadata: AcquisitionMetadata) -> dict[str, Any]:
    """Return acquisition metadata as part of a message."""
    sidecar = metadata.sidecar
    return {
        "vendor": metadata.vendor,
        "flags": list(metadata.flags),
        "readings": {
            name: [found.value, found.raw, found.source, found.computed, found.reason]
            for name, found in metadata.readings.items()
        },
        "sidecar": None
        if sidecar is None
        else [sidecar.name, sidecar.sha256, sidecar.size, sidecar.mtime_ns, sidecar.cut],
    }


def message_as_metadata(header: dict[str, Any]) -> AcquisitionMetadata:
    """Rebuild acquisition metadata; raises `GarbledError` if anything is not as `metadata_as_message` writes it."""
    try:
        vendor = header["vendor"]
        return AcquisitionMetadata(
            vendor=None if vendor is None else _text(vendor),
            readings={_field(name): _reading(values) for name, values in header["readings"].items()},
            flags=tuple(_text(flag) for flag in header["flags"]),
            sidecar=_sidecar(header["sidecar"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GarbledError(f"metadata are not as expected: {error}") from error


def reading_as_message(reading: FrameReading) -> tuple[dict[str, Any], bytes]:
    """Write a frame's reading, all but its path, which the asker knows."""
    key, metadata = reading.stat_key, reading.metadata
    header = {
        "sha256": reading.sha256,
        "stat": [key.size, key.mtime_ns, key.ctime_ns, key.inode],
        "image": [reading.image_format, reading.width, reading.height, reading.pixel_type, reading.pages],
        "views": len(reading.views),
        "coloured_share": reading.coloured_share,
        "unsettled": reading.unsettled,
        **metadata_as_message(metadata),
    }
    return header, reading.views.astype("<f4", copy=False).tobytes()


def message_as_reading(path: Path, header: dict[str, Any], payload: bytes) -> FrameReading:
    """Rebuild a frame's reading; raises `GarbledError` if anything is not as `reading_as_message` writes it."""
    try:
        size, mtime_ns, ctime_ns, inode = (_whole(number) for number in header["stat"])
        image_format, width, height, pixel_type, pages = header["image"]
        views = _whole(header["views"])
        if not 0 <= views <= _MOST_VIEWS:
            raise GarbledError(f"{views} views")
        pixels = np.frombuffer(payload, "<f4").reshape(views, NETWORK_SIDE_PX, NETWORK_SIDE_PX).astype(np.float32)
        return FrameReading(
            path=path,
            sha256=_text(header["sha256"]),
            stat_key=StatKey(size, mtime_ns, ctime_ns, inode),
            image_format=_text(image_format),
            width=_whole(width),
            height=_whole(height),
            pixel_type=_text(pixel_type),
            pages=_whole(pages),
            metadata=message_as_metadata(header),
            views=pixels,
            coloured_share=_share(header["coloured_share"]),
            unsettled=_text(header["unsettled"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GarbledError(f"a reading is not as expected: {error}") from error


def _reading(values: list[Any]) -> Reading:
    value, raw, source, computed, reason = values
    if not (value is None or isinstance(value, (bool, int, float, str))) or not isinstance(computed, bool):
        raise GarbledError(f"a value of type {type(value).__name__}")
    return Reading(value, _text(raw), _text(source), computed, _text(reason))


def _sidecar(values: list[Any] | None) -> Sidecar | None:
    if values is None:
        return None
    name, sha256, size, mtime_ns, cut = values
    if not isinstance(cut, bool):
        raise GarbledError(f"{cut!r} is neither true nor false")
    return Sidecar(_text(name), _text(sha256), _whole(size), _whole(mtime_ns), cut)


def _field(name: str) -> str:
    if name not in FIELDS:
        raise GarbledError(f"an unknown field {name[:40]!r}")
    return name


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise GarbledError(f"{value!r} is not a whole number")
    return value


def _share(value: Any) -> float:
    if not isinstance(value, float) or not 0 <= value <= 1:
        raise GarbledError(f"{value!r} is not a share")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise GarbledError(f"{value!r} is not text")
    return value


def error_as_message(error: errors.FrameError) -> dict[str, Any]:
    """Write a frame's error by class name and message."""
    return {"error": type(error).__name__, "message": str(error)}


def message_as_error(header: dict[str, Any]) -> errors.FrameError:
    """Rebuild a frame's error as the same class; raises `GarbledError` for one that is not in `emwatch.errors`."""
    kind = _FRAME_ERRORS.get(_text(header["error"]))
    if kind is None:
        raise GarbledError(f"an unknown error {header['error'][:40]!r}")
    return kind(_text(header.get("message")))
