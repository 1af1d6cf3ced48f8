"""Files made to hurt a reader: mutants of what the pretend microscope writes for every maker, bombs, loops, huge directories."""

from __future__ import annotations

import os
import random
import struct
import zlib
from functools import cache
from typing import TYPE_CHECKING, Final

from emwatch.simulate.acquisition import Shot
from emwatch.simulate.microscope import take_picture
from emwatch.simulate.vendors import VENDORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@cache
def _seeds() -> tuple[tuple[str, bytes], ...]:
    """One frame of every maker, small, as name and bytes; those that are no TIFF keep their suffix."""
    assert Shot
    found = []
    for number, vendor in enumerate(VENDORS):
        picture = take_picture("Nanowires", number, vendor, width=128, height=96)
        (suffix, data), *_ = picture.files("seed.tif").items()
        found.append((suffix, data))
    return tuple(found)


def mutants(number: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Damaged frames by suffix: bytes changed, cut, doubled, and directory entries with absurd values."""
    dice = random.Random(seed)
    seeds = _seeds()
    for index in range(number):
        suffix, data = seeds[index % len(seeds)]
        yield suffix, dice.choice(_DAMAGES)(bytearray(data), dice)


def _some_bytes(data: bytearray, dice: random.Random) -> bytes:
    for _ in range(dice.choice((1, 4, 32, 256))):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


def _head_and_foot(data: bytearray, dice: random.Random) -> bytes:
    """Where directories and headers stand."""
    for _ in range(dice.choice((2, 8, 32))):
        at = dice.randrange(min(1024, len(data)))
        data[at if dice.random() < 0.5 else len(data) - 1 - at] = dice.choice(
            (0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256))
        )
    return bytes(data)


def _cut(data: bytearray, dice: random.Random) -> bytes:
    return bytes(data[: dice.randrange(1, len(data))])


def _absurd_numbers(data: bytearray, dice: random.Random) -> bytes:
    """A count or an offset of a directory becomes one that no file can hold."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, at)
        for _ in range(dice.choice((1, 2, 6))):
            entry = at + 2 + 12 * dice.randrange(entries)
            value = dice.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0, at, len(data), len(data) - 1))
            if dice.random() < 0.3:
                struct.pack_into(f"{order}H", data, entry + 2, dice.randrange(20))
            struct.pack_into(f"{order}I", data, entry + dice.choice((4, 8)), value)
    except struct.error:
        return _some_bytes(data, dice)
    return bytes(data)


def _doubled(data: bytearray, dice: random.Random) -> bytes:
    at, length = dice.randrange(len(data)), dice.randrange(1, 4096)
    return bytes(data[:at] + data[at : at + length] * dice.choice((2, 16)) + data[at + length :])


_DAMAGES: Final[tuple[Callable[[bytearray, random.Random], bytes], ...]] = (
    _some_bytes,
    _head_and_foot,
    _cut,
    _absurd_numbers,
    _doubled,
)


def _directory(entries: list[tuple[int, int, int, int]], link: int) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", link)


def _bomb(side: int, *, compressed: bool) -> bytes:
    """A few kilobytes that claim side x side pixels, deflated or not there at all."""
    rows = 64
    strips = -(-side // rows)
    block = zlib.compress(bytes(rows * side), 9) if compressed and side <= 20_000 else b"\x00" * 64
    data_at = 8
    arrays_at = data_at + len(block)
    offsets = struct.pack(f"<{strips}I", *[data_at] * strips)
    counts = struct.pack(f"<{strips}I", *[len(block)] * strips)
    directory_at = arrays_at + len(offsets) + len(counts)
    directory = _directory(
        [
            (256, 4, 1, side),
            (257, 4, 1, side),
            (258, 3, 1, 8),
            (259, 3, 1, 8 if compressed else 1),
            (262, 3, 1, 1),
            (273, 4, strips, arrays_at),
            (277, 3, 1, 1),
            (278, 4, 1, rows),
            (279, 4, strips, arrays_at + len(offsets)),
        ],
        0,
    )
    return struct.pack("<2sHI", b"II", 42, directory_at) + block + offsets + counts + directory


def _loop() -> bytes:
    """A directory whose next one is itself."""
    entries = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    entries += [(277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64)]
    return struct.pack("<2sHI", b"II", 42, 72) + bytes(range(64)) + _directory(entries, 72)


def _many_directories(number: int) -> bytes:
    """So many pages, each with a picture of its own."""
    size = 2 + 9 * 12 + 4
    out = bytearray(struct.pack("<2sHI", b"II", 42, 72) + bytes(range(64)))
    for page in range(number):
        link = 72 + (page + 1) * size if page + 1 < number else 0
        entries = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
        out += _directory([*entries, (277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64)], link)
    return bytes(out)


def bombs() -> dict[str, bytes]:
    """Small files that ask for far too much, by name."""
    return {
        "bomb_13k.tif": _bomb(13_000, compressed=True),
        "bomb_60k.tif": _bomb(60_000, compressed=True),
        "bomb_200k.tif": _bomb(200_000, compressed=True),
        "claims_60k.tif": _bomb(60_000, compressed=False),
        "loop.tif": _loop(),
        "20k_directories.tif": _many_directories(20_000),
        "many_entries.tif": struct.pack("<2sHI", b"II", 42, 8) + b"\xff\xff" + os.urandom(65_535 * 12),
        "zeros.tif": bytes(100_000),
        "head_only.tif": b"II*\x00",
    }


def write(folder: Path, number: int, seed: int = 0) -> list[Path]:
    """Write bombs and mutants; returns their paths."""
    written = []
    for name, data in bombs().items():
        path = folder / name
        path.write_bytes(data)
        written.append(path)
    for index, (suffix, data) in enumerate(mutants(number, seed)):
        path = folder / f"mutant_{index:05d}{suffix}"
        path.write_bytes(data)
        written.append(path)
    return written
