"""Damaged bytes: whatever they are, the outcome is a frame or a frame's error, in bounded time."""

from __future__ import annotations

import contextlib
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emwatch import errors
from emwatch.frame import FIELDS
from emwatch.readers import image, registry
from emwatch.readers.frame_reader import read_frame
from emwatch.readers.raw_frame import RawFrame
from emwatch.readers.sandbox.limits import Limits
from emwatch.readers.sandbox.wire import metadata_as_message
from emwatch.readers.tiff import parse_pages
from tests.beside import texts_beside

if TYPE_CHECKING:
    from collections.abc import Callable

_MUTANTS = 400


def _mutated(data: bytes, chance: random.Random, most: int = 8) -> bytes:
    mutant = bytearray(data)
    for _ in range(chance.randint(1, most)):
        at, kind = chance.randrange(len(mutant)), chance.randrange(5)
        if kind == 0:
            mutant[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            mutant[at : at + 4] = chance.choice([b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff"])
        elif kind == 2:
            del mutant[at : at + chance.randint(1, 200)]
        elif kind == 3:
            mutant[at:at] = chance.choice([b"=", b"\r\n", b"[", b"\x00", b"e999", b",", b"-", b"\xb0"])
        else:
            length = chance.randint(1, 100)
            mutant[at : at + length] = mutant[:length]
        if not mutant:
            mutant = bytearray(b"I")
    return bytes(mutant)


@pytest.mark.parametrize("vendor", ["zeiss", "fei"])
def test_a_mutated_file_is_a_frame_or_a_frame_error(build: Any, written: Callable[..., Path], vendor: str) -> None:
    chance = random.Random(20)
    header = {"zeiss": {34118: build.zeiss()}, "fei": {34682: build.fei(), 34683: b"<Metadata><Optics/></Metadata>"}}[
        vendor
    ]
    whole = build.tiff(tags=header, rows_per_strip=4)
    outcomes = {"frame": 0, "refused": 0}
    unnamed = 0
    for _ in range(_MUTANTS):
        try:
            reading = read_frame(
                written(_mutated(whole, chance)), lambda pixels, _bar: np.zeros((1, 170, 170), np.float32) + pixels.size
            )
        except errors.FrameError as error:
            outcomes["refused"] += 1
            unnamed += "frame.tif" not in str(error)
        else:
            outcomes["frame"] += 1
            assert not [flag for flag in reading.metadata.flags if "could not be read" in flag]

    assert unnamed == 0
    assert outcomes["frame"] > _MUTANTS / 10
    assert outcomes["refused"] > _MUTANTS / 10


def _cases(build: Any) -> dict[str, tuple[bytes, Callable[[bytes], RawFrame]]]:
    """Return for each vendor its header, and how a frame is made with one."""

    def tagged(number: int) -> Callable[[bytes], RawFrame]:
        def make(header: bytes) -> RawFrame:
            data = build.tiff(tags={number: header})
            return RawFrame(Path("frame.tif"), data, "TIFF", 32, 30, parse_pages("frame.tif", data, 64))

        return make

    def beside(name: str) -> Callable[[bytes], RawFrame]:
        return lambda header: RawFrame(Path("frame.jpg"), b"", "JPEG", 32, 30, sidecar=texts_beside({name: header}))

    def whole(start: bytes) -> Callable[[bytes], RawFrame]:
        def make(rest: bytes) -> RawFrame:
            data = start + rest
            return RawFrame(Path("frame.tif"), data, "TIFF", 32, 30, parse_pages("frame.tif", data, 64))

        return make

    jeol, sis = build.jeol_tiff(), build.sis_tiff()
    note, block = jeol.index(b"UNICODE\x00"), sis.index(b"SIS0")
    return {
        "zeiss": (build.zeiss(), tagged(34118)),
        "fei": (build.fei(), tagged(34682)),
        "xl": (build.xl(), tagged(34680)),
        "phenom": (build.phenom_xml.encode(), tagged(34683)),
        "tescan": (build.tescan(), tagged(50431)),
        "tescan hdr": (build.tescan_hdr(), beside("frame.hdr")),
        "jeol txt": (build.jeol_txt(), beside("frame.txt")),
        "jeol note": (jeol[note:], whole(jeol[:note])),
        "hitachi txt": (build.hitachi_txt(), beside("frame.txt")),
        "hitachi tags": (build.hitachi_tags()[40092], tagged(40092)),
        "sec": (build.sec_text.encode(), beside("frame.jpg.txt")),
        "sis": (sis[block:], whole(sis[:block])),
        "fibsem": (build.fibsem_state.encode(), tagged(270)),
        "ome": (build.ome_xml.encode(), tagged(270)),
    }


_VENDORS = (
    "zeiss", "fei", "xl", "phenom", "tescan", "tescan hdr", "jeol txt", "jeol note", "hitachi txt", "hitachi tags", "sec",
    "sis", "fibsem", "ome",
)  # fmt: skip


#: XML and JSON are all or nothing: with more than one fault hardly a mutant is read.
_STRICT = {"phenom", "fibsem", "ome"}


def _mutants_of(build: Any, vendor: str, count: int) -> tuple[int, int]:
    """Read mutants of one vendor's header; return how many numbers came out, and how many of them as they went in."""
    chance = random.Random(f"22 {vendor}")
    header, make = _cases(build)[vendor]
    golden = registry.read_header(make(header))[0].readings
    numbers = kept = 0
    for _ in range(count):
        found = registry.read_header(make(_mutated(header, chance, 1 if vendor in _STRICT else 8)))[0]
        for name, reading in found.readings.items():
            assert name in FIELDS
            assert reading.value is not None or reading.reason
            if not isinstance(reading.value, float):
                continue
            numbers += 1
            low, high = FIELDS[name].ends
            assert low <= reading.value <= high, (name, reading)
            before = golden.get(name)
            # The same digits and unit from the same key must give the same number: nothing else may decide about its unit.
            if before and not before.computed and replace(before, value=reading.value) == reading:
                kept += 1
                assert before.value == pytest.approx(reading.value, rel=1e-6), (name, reading)
    return numbers, kept


@pytest.mark.parametrize("vendor", _VENDORS)
def test_a_mutated_header_of_any_vendor_gives_no_error_and_no_other_unit(build: Any, vendor: str) -> None:
    numbers, kept = _mutants_of(build, vendor, 60)

    assert numbers > 15
    assert kept > 10


@pytest.mark.slow
@pytest.mark.parametrize("vendor", _VENDORS)
def test_five_thousand_mutated_headers_give_no_error_and_no_other_unit(build: Any, vendor: str) -> None:
    count = -(-5000 // len(_VENDORS))
    numbers, kept = _mutants_of(build, vendor, count)

    assert numbers > count / 4
    assert kept > count / 5


@pytest.mark.parametrize("vendor", [each for each in _VENDORS if each != "sis"])
def test_a_header_that_breaks_off_anywhere_gives_no_half_values(build: Any, vendor: str) -> None:
    """Half of ``WD=10.863e-3`` is a distance too, and half of a name a name."""
    header, make = _cases(build)[vendor]
    golden = registry.read_header(make(header))[0].readings
    kept = 0
    for cut in range(1, len(header), 3):
        for rest in (b"", b"\x00" * 64):
            found = registry.read_header(make(header[:cut] + rest))[0].readings
            for name, reading in found.items():
                assert reading.value is not None or reading.reason, (cut, name)
                before = golden.get(name)
                if reading.value is not None and before and before.source == reading.source and not reading.computed:
                    kept += 1
                    assert before.value == reading.value, (cut, name)

    assert kept > 100 or vendor in _STRICT


#: From the text of a value to what may stand there instead.
_DEEDS = {
    "no value": lambda _raw: "",
    "decimal comma": lambda raw: raw.replace(".", ","),
    "a megabyte": lambda raw: raw * (1_000_000 // len(raw)),
    "NUL": lambda raw: raw + "\x00" * 30,
}


@pytest.mark.parametrize("deed", _DEEDS)
@pytest.mark.parametrize("vendor", [each for each in _VENDORS if each not in {"sis", "ome"}])
def test_a_value_that_is_none_costs_itself_and_says_why(build: Any, vendor: str, deed: str) -> None:
    """Whatever stands in place of one number: it is that number, or unknown with a reason, and the others stay."""
    header, make = _cases(build)[vendor]
    golden = registry.read_header(make(header))[0].readings
    # XML and JSON break as a whole, and lengths that stand elsewhere do not follow: others may be lost, never changed.
    together = vendor in {*_STRICT, "tescan", "jeol note"}
    tried = 0
    for name, before in golden.items():
        if type(before.value) is not float or before.computed:
            continue
        for encoding in ("cp1252", "utf-16-le"):
            raw = before.raw.encode(encoding, errors="replace")
            # Another key may hold the same text; then it is not known whose value is replaced.
            if len(before.raw) < 3 or header.count(raw) != 1:
                continue
            tried += 1
            there = make(header.replace(raw, _DEEDS[deed](before.raw).encode(encoding)))
            found = registry.read_header(there)[0].readings
            after = found.get(name)
            if after is not None and after.source == before.source:
                assert after.value in {None, before.value}, (name, after)
                assert after.value is not None or after.reason, (name, after)
                assert len(after.raw) <= 200
            for each, other in found.items():
                if each != name and each in golden and other.source == golden[each].source and not other.computed:
                    lost = other.value is None and (together or before.source == golden[each].source)
                    assert lost or other.value == golden[each].value, (name, other)

    assert tried > 0


_DIGITS = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?")


@pytest.mark.parametrize("vendor", [each for each in _VENDORS if each != "sis"])
def test_a_number_that_no_instrument_has_is_unknown(build: Any, vendor: str) -> None:
    """Software writes 0 or -1 for what it does not know; whatever is computed from it is unknown as well."""
    header, make = _cases(build)[vendor]
    golden = registry.read_header(make(header))[0].readings
    refused = 0
    for before in golden.values():
        number = _DIGITS.search(before.raw) if isinstance(before.value, float) else None
        for encoding in ("cp1252", "utf-16-le"):
            digits = number[0].encode(encoding) if number else b""
            if len(digits) < 2 or header.count(digits) != 1:
                continue
            for wrong in ("0", "-1", "1e308", "1e-290", "nan"):
                found = registry.read_header(make(header.replace(digits, wrong.encode(encoding))))[0]
                json.dumps(metadata_as_message(found), allow_nan=False)
                for name, reading in found.readings.items():
                    if isinstance(reading.value, float):
                        low, high = FIELDS[name].ends
                        assert low <= reading.value <= high, (name, reading)
                    else:
                        refused += "is not possible" in reading.reason
                        assert reading.value is not None or reading.reason, name

    assert refused > 0


@pytest.mark.parametrize("vendor", ["zeiss", "fei"])
def test_a_mutated_header_never_raises_and_every_number_is_one(build: Any, vendor: str) -> None:
    chance = random.Random(21)
    header = {"zeiss": build.zeiss, "fei": build.fei}[vendor]()
    tag = {"zeiss": 34118, "fei": 34682}[vendor]
    numbers = 0
    for _ in range(_MUTANTS):
        data = build.tiff(tags={tag: _mutated(header, chance)})
        found = registry.read_header(
            RawFrame(Path("frame.tif"), data, "TIFF", 32, 30, parse_pages("frame.tif", data, 64))
        )[0]
        for name, reading in found.readings.items():
            assert name in FIELDS
            if isinstance(reading.value, float):
                numbers += 1
                assert np.isfinite(reading.value)

    assert numbers > 10 * _MUTANTS


@settings(
    max_examples=2 * settings.default.max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(block=st.binary(max_size=400))
def test_any_block_in_a_vendor_tag_is_read_without_an_error(build: Any, block: bytes) -> None:
    for tag in (34118, 34119, 34682, 34683):
        data = build.tiff(tags={tag: block, 34682: block})
        registry.read_header(RawFrame(Path("frame.tif"), data, "TIFF", 32, 24, parse_pages("frame.tif", data, 64)))


@settings(max_examples=3 * settings.default.max_examples, deadline=None)
@given(start=st.sampled_from([magic for magic, _ in image._MAGICS]), rest=st.binary(max_size=300))
def test_any_bytes_after_a_known_start_are_a_frame_or_a_frame_error(start: bytes, rest: bytes) -> None:
    data = start + rest
    with contextlib.suppress(errors.FrameError):
        image.decode("frame.tif", data, image.read_header("frame.tif", data, Limits(frame_bytes=1 << 20)))
