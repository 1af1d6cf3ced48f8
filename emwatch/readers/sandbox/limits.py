"""How much a frame may ask for before it is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from emwatch.config import Config

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Bounds of reading one frame.

    An 11 kB file may claim 60,000 x 60,000 pixels: what a header asks for is checked before anything is decoded.
    """

    file_bytes: int = 512 * _MIB
    frame_bytes: int = 256 * _MIB  #: decoded: width x height x samples x bytes per sample
    inflation: int = 200  #: decoded bytes per file byte of a compressed frame ...
    inflation_free_bytes: int = (
        16 * _MIB
    )  #: ... that is larger than this: a blank frame compresses 1000-fold and is harmless
    pages: int = 64
    seconds: float = 20.0  #: wall time of one frame in the child
    start_seconds: float = 30.0  #: wall time of the child's own start
    memory_bytes: int = 2048 * _MIB  #: address space of the child


def reading_limits(config: Config) -> Limits:
    """Return the limits that are configured."""
    watch = config.watch
    frame_bytes = watch.max_frame_mb * _MIB
    return Limits(
        file_bytes=max(Limits().file_bytes, 2 * frame_bytes),
        frame_bytes=frame_bytes,
        seconds=watch.read_seconds,
        memory_bytes=watch.read_memory_mb * _MIB,
    )


#: Nothing waits for a data bar, and its reader only gets what time others leave.
_LEAST_BAR_S: Final = 60.0
_BAR_START_S: Final = 120.0


def bar_limits(config: Config) -> Limits:
    """Return the limits of reading a frame's data bar: those configured, with the time that its low priority takes."""
    limits = reading_limits(config)
    return replace(limits, seconds=max(limits.seconds, _LEAST_BAR_S), start_seconds=_BAR_START_S)
