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

#: The fingerprint's picture: 16 rows of 16 steps from a cell to its right neighbour, brighter or not. 256 bits.
_CELLS: Final = 16

#: Pictures whose fingerprints differ in at most so many bits are near duplicates. On 891 real frames of 80 sources all
#: pairs marked as near duplicates by hand differ in at most 37, and no two frames of different sources in fewer than 43.
NEAR_BITS: Final = 40

#: Rows compared at once: 256 x 21,000 distances of four 64-bit words take 170 MB.
_ROWS_AT_ONCE: Final = 256


def fingerprint(view: npt.NDArray[np.float32]) -> npt.NDArray[np.uint64]:
    """Give the difference hash (4,) of what the network sees of a frame, (170, 170), grey 0..255."""
    small = Image.fromarray(np.clip(view, 0, 255).astype(np.uint8)).resize((_CELLS + 1, _CELLS), Image.Resampling.BOX)
    cells = np.asarray(small, dtype=np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).view(np.uint64)


def exact_duplicates(hashes: Sequence[str]) -> list[list[int]]:
    """Group the indices of frames of the same sha256; only groups of two and more. Empty hashes count for nothing."""
    same: dict[str, list[int]] = {}
    for at, sha256 in enumerate(hashes):
        if sha256:
            same.setdefault(sha256, []).append(at)
    return [group for group in same.values() if len(group) > 1]


def near_duplicates(prints: npt.NDArray[np.uint64], near_bits: int = NEAR_BITS) -> list[list[int]]:
    """
    Group the indices of fingerprints (n, 4) that are near, directly or over others; only groups of two and more.

    Every pair is compared: 21,000 frames take about ten seconds.
    """
    leader = np.arange(len(prints))
    for start in range(0, len(prints), _ROWS_AT_ONCE):
        rows = prints[start : start + _ROWS_AT_ONCE]
        bits = np.bitwise_count(rows[:, np.newaxis, :] ^ prints[np.newaxis, start:, :]).sum(axis=2, dtype=np.uint16)
        for one, other in np.argwhere(bits <= near_bits):
            if other > one:
                _join(leader, start + int(one), start + int(other))
    groups: dict[int, list[int]] = {}
    for at in range(len(prints)):
        groups.setdefault(_leader(leader, at), []).append(at)
    return [group for group in groups.values() if len(group) > 1]


def repeats(prints: npt.NDArray[np.uint64], groups: Sequence[Sequence[int]], near_bits: int = NEAR_BITS) -> set[int]:
    """
    Choose of each group the frames that repeat one that is kept; the first is always kept.

    Of a slow pan, whose ends are not alike, some frames along the way stay.
    """
    repeated = set()
    for group in groups:
        kept: list[int] = []
        for at in group:
            if any(int(np.bitwise_count(prints[at] ^ prints[other]).sum()) <= near_bits for other in kept):
                repeated.add(at)
            else:
                kept.append(at)
    return repeated


def _leader(leader: npt.NDArray[np.int64], at: int) -> int:
    while leader[at] != at:
        leader[at] = leader[leader[at]]
        at = int(leader[at])
    return at


def _join(leader: npt.NDArray[np.int64], one: int, other: int) -> None:
    first, second = sorted((_leader(leader, one), _leader(leader, other)))
    leader[second] = first
