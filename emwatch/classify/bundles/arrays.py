"""Reads the arrays of an ``.npz`` file that may be a stranger's: what they would take is known before memory is asked for."""

from __future__ import annotations

import io
import math
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

#: Of all arrays together; those of a head have some megabytes at most.
_CAP_BYTES: Final = 64 * 1024**2


def bounded_arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """
    Read all arrays of an ``.npz``; `numpy.load` would ask for whatever memory a header of 100 bytes claims.

    Raises `ValueError`, or what `zipfile` raises, for anything that is not such a file, or too large, or holds objects.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    left = _CAP_BYTES
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                left -= _claimed_bytes(file)
            if left < 0:
                raise ValueError(f"its arrays claim more than {_CAP_BYTES} bytes")
            with archive.open(member) as file:
                found[member.filename.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
    return found


def _claimed_bytes(file: Any) -> int:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, kind = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"an array of format {version}, expected 1.0 or 2.0")
    if kind.hasobject:
        raise ValueError("an array of Python objects, which are never read")
    if any(side < 0 for side in shape):
        raise ValueError(f"an array of shape {shape}")
    return math.prod(int(side) for side in shape) * int(kind.itemsize)
