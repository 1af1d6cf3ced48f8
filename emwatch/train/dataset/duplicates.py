"""
Frames that are the same picture: byte for byte, or saved again at another size, contrast or compression.

Two frames of one place teach a model nothing new, and one of them to learn from makes the other useless to judge by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

#: A fingerprint is a picture of 16 rows of 17 cells; its 256 bits say which cell is darker than its right neighbour.
_ROWS: Final = 16
_COLUMNS: Final = 17

#: Pictures whose bits differ in at most so many places, and whose cells are at least so well correlated, are near duplicates.
#: On 891 real frames of 45 sources all pairs marked as near duplicates by hand differ in at most 37 bits, and no two frames
#: of different sources in fewer than 43. The correlation keeps pictures apart that are plain but for a few places: their
#: cells are nearly all equal, so that few bits are set in either (found on raw frames: 23 bits, correlation 0.00).
NEAR_BITS: Final = 40
_LEAST_CORRELATION: Final = 0.6

#: Rows compared at once: 256 x 21,000 distances of four 64-bit words take 170 MB.
_AT_ONCE: Final = 256


def fingerprint(view: npt.NDArray[np.float32]) -> bytes:
    """Return the cells of what the network sees of a frame, (170, 170), grey 0..255."""
    picture = Image.fromarray(np.clip(view, 0, 255).astype(np.uint8))
    return picture.resize((_COLUMNS, _ROWS), Image.Resampling.BOX).tobytes()


def exact_duplicates(hashes: Sequence[str]) -> list[list[int]]:
    """Group the indices of frames of the same sha256; only groups of two and more. Empty hashes count for nothing."""
    same: dict[str, list[int]] = {}
    for at, sha256 in enumerate(hashes):
        if sha256:
            same.setdefault(sha256, []).append(at)
    return [group for group in same.values() if len(group) > 1]


def near_duplicates(prints: Sequence[bytes]) -> list[list[int]]:
    """
    Group the indices of fingerprints that are near, directly or over others; only groups of two and more.

    Every pair is compared: 21,000 frames take seconds. Blank frames are near to nothing: they have nothing in common.
    """
    bits, shapes = _bits(prints), _shapes(prints)
    leader = np.arange(len(prints))
    for start in range(0, len(prints), _AT_ONCE):
        apart = np.bitwise_count(bits[start : start + _AT_ONCE, np.newaxis] ^ bits[np.newaxis, start:]).sum(
            axis=2, dtype=np.uint16
        )
        ones, others = np.nonzero(np.triu(apart <= NEAR_BITS, 1))
        like = (shapes[start + ones] * shapes[start + others]).sum(axis=1) >= _LEAST_CORRELATION
        for one, other in zip(ones[like], others[like], strict=True):
            _join(leader, start + int(one), start + int(other))
    groups: dict[int, list[int]] = {}
    for at in range(len(prints)):
        groups.setdefault(_leader(leader, at), []).append(at)
    return [group for group in groups.values() if len(group) > 1]


def repeats(prints: Sequence[bytes], groups: Sequence[Sequence[int]]) -> set[int]:
    """
    Choose of each group the frames that repeat one that is kept; the first is always kept.

    Of a slow pan, whose ends are not alike, some frames along the way stay.
    """
    repeated = set()
    for group in groups:
        kept: list[int] = []
        for at in group:
            if any(near_duplicates([prints[at], prints[other]]) for other in kept):
                repeated.add(at)
            else:
                kept.append(at)
    return repeated


def _bits(prints: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """Return the difference hashes (n, 4)."""
    cells = _cells(prints)
    return np.packbits((cells[:, :, 1:] > cells[:, :, :-1]).reshape(len(cells), _ROWS * (_COLUMNS - 1)), axis=1).view(
        np.uint64
    )


def _shapes(prints: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Return the cells (n, 272) less their mean, of length 1, so that products are correlations; zeros for blank frames."""
    cells = _cells(prints).reshape(len(prints), _ROWS * _COLUMNS).astype(np.float32)
    cells -= cells.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(cells, axis=1, keepdims=True)
    return (cells / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _cells(prints: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(prints), dtype=np.uint8).reshape(len(prints), _ROWS, _COLUMNS)


def _leader(leader: npt.NDArray[np.int64], at: int) -> int:
    while leader[at] != at:
        leader[at] = leader[leader[at]]
        at = int(leader[at])
    return at


def _join(leader: npt.NDArray[np.int64], one: int, other: int) -> None:
    first, second = sorted((_leader(leader, one), _leader(leader, other)))
    leader[second] = first
