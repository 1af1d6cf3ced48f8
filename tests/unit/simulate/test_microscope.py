from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from emwatch.errors import EmwatchError
from emwatch.frame import CATEGORIES
from emwatch.simulate.data_bar import STYLES, with_data_bar
from emwatch.simulate.microscope import Microscope, Truth, WriteMode, bar_style, take_picture
from emwatch.simulate.vendors import COMMON, VENDORS
from emwatch.simulate.vendors.vendor import EVERYTHING
from emwatch.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = {"width": 64, "height": 48}


class Bench:
    """A microscope at a clock that only its own waiting moves; ``while_waiting`` looks at the directory meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "acquisition"
        self.clock = ManualClock()
        self.waits: list[float] = []
        self.while_waiting: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.while_waiting()
        self.clock.advance(seconds)

    def microscope(self, frames: int, **given: object) -> Microscope:
        settings = {**SMALL, "clock": self.clock, "sleep": self.sleep, **given}
        return Microscope(self.out, frames, **settings)  # type: ignore[arg-type]

    def take(self, frames: int, **given: object) -> list[Truth]:
        return list(self.microscope(frames, **given).run())


@pytest.fixture(name="bench")
def _bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def is_sidecar(path: Path) -> bool:
    return path.suffix in (".txt", ".hdr")


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("mode", WriteMode)
def test_every_mode_ends_with_the_bytes_the_manifest_tells(bench: Bench, mode: WriteMode) -> None:
    truths = bench.take(len(VENDORS), mode=mode, vendor="all")
    manifest = [
        json.loads(line) for line in bench.out.with_name("acquisition.manifest.ndjson").read_text().splitlines()
    ]

    assert [truth.sha256 for truth in truths] == [sha256(truth.path) for truth in truths]
    assert [truth.sha256 for truth in truths] == [entry["sha256"] for entry in manifest]
    assert sorted(path for path in bench.out.iterdir() if not is_sidecar(path)) == [
        Path(truth.path) for truth in truths
    ]
    assert not [path for path in bench.out.parent.rglob("*") if path.suffix in (".tmp", ".part")]


@pytest.mark.parametrize("mode", [mode for mode in WriteMode if mode is not WriteMode.TRUNCATED])
def test_a_whole_frame_can_be_read(bench: Bench, mode: WriteMode) -> None:
    for truth in bench.take(len(VENDORS), mode=mode, vendor="all"):
        assert truth.complete
        with Image.open(truth.path) as image:
            assert np.asarray(image).shape[1] == 64


def test_every_fifth_truncated_frame_ends_early_and_says_so(bench: Bench) -> None:
    truths = bench.take(10, mode="truncated")
    sizes = [Path(truth.path).stat().st_size for truth in truths]

    assert [truth.complete for truth in truths] == [True, True, True, True, False] * 2
    assert all((size < 0.7 * max(sizes)) != truth.complete for size, truth in zip(sizes, truths, strict=True))


def test_frames_come_at_the_rate_asked_for_whatever_drawing_costs(bench: Bench) -> None:
    bench.take(5, rate=4.0)

    assert bench.clock.monotonic() == pytest.approx(1.0)
    assert bench.waits == pytest.approx([0.0, 0.25, 0.25, 0.25, 0.25])


def test_a_late_frame_is_not_waited_for(bench: Bench) -> None:
    run = bench.microscope(3, rate=1.0).run()
    next(run)
    bench.clock.advance(1.6)
    list(run)

    assert bench.waits == pytest.approx([0.0, 0.0, 0.4])


def test_a_burst_does_not_wait(bench: Bench) -> None:
    bench.take(4, rate=1.0, mode="burst")

    assert bench.waits == []


def test_an_atomic_frame_is_never_seen_in_part(bench: Bench) -> None:
    seen: set[tuple[str, int]] = set()
    run = bench.microscope(3, mode="atomic").run()
    for _ in run:
        seen |= {(path.name, path.stat().st_size) for path in bench.out.iterdir()}

    assert {name for name, _ in seen} == {"frame_0001.tif", "frame_0002.tif", "frame_0003.tif"}
    assert len(seen) == 3


def test_a_slow_frame_grows_while_it_is_written(bench: Bench) -> None:
    sizes: list[int] = []
    bench.while_waiting = lambda: sizes.extend(path.stat().st_size for path in bench.out.glob("*.tif"))
    (truth,) = bench.take(1, mode="slow-write")
    total = Path(truth.path).stat().st_size

    assert len(sizes) == 11
    assert all(smaller < larger for smaller, larger in pairwise([0, *sizes, total]))


def test_a_preallocated_frame_has_its_size_before_its_content(bench: Bench) -> None:
    states: list[bytes] = []
    bench.while_waiting = lambda: states.extend(path.read_bytes() for path in bench.out.glob("*.tif"))
    (truth,) = bench.take(1, mode="prealloc")
    whole = Path(truth.path).read_bytes()

    assert {len(state) for state in states} == {len(whole)}
    assert not any(states[0][-100:])
    assert all(state != whole for state in states)


def test_a_late_sidecar_comes_after_its_frame(bench: Bench) -> None:
    states: list[set[str]] = []
    bench.while_waiting = lambda: states.append({path.name for path in bench.out.iterdir()})
    bench.take(1, mode="sidecar-late")

    assert states[-1] == {"frame_0001.tif"}
    assert {path.name for path in bench.out.iterdir()} == {"frame_0001.tif", "frame_0001.txt"}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_maker_s_own_sidecar_comes_late_and_never_without_its_content(bench: Bench, vendor: str) -> None:
    states: list[dict[str, bytes]] = []
    bench.while_waiting = lambda: states.append({path.name: path.read_bytes() for path in bench.out.iterdir()})
    (truth,) = bench.take(1, mode="sidecar-late", vendor=vendor)
    (suffix, frame), *sidecars = (
        take_picture(truth.category, 0, vendor, **SMALL, acquired_at=datetime.fromisoformat(truth.acquired_at))
        .files("frame_0001.tif")
        .items()
    )
    late = {f"frame_0001{name}": data for name, data in sidecars}
    there = {path.name: path.read_bytes() for path in bench.out.iterdir()}

    assert states[-1] == {f"frame_0001{suffix}": frame}
    assert there == {f"frame_0001{suffix}": frame} | (late or {"frame_0001.txt": there.get("frame_0001.txt")})


def test_mixed_changes_between_the_common_makers_and_all_leaves_no_format_out(bench: Bench, tmp_path: Path) -> None:
    mixed = [truth.vendor for truth in bench.take(len(COMMON) + 1, vendor="mixed")]
    everything = [truth.vendor for truth in Bench(tmp_path / "all").take(len(VENDORS), vendor="all")]

    assert mixed == [*COMMON, COMMON[0]]
    assert everything == list(VENDORS)


def test_the_manifest_says_which_of_its_values_the_files_tell(bench: Bench) -> None:
    told = {truth.vendor: truth.told for truth in bench.take(len(VENDORS), vendor="all")}

    assert told["zeiss"] == EVERYTHING
    assert told["hitachi-xp"] == tuple(name for name in EVERYTHING if name not in ("stage_tilt_deg", "acquired_at"))
    assert told["generic"] == ()


def test_the_manifest_is_whole_after_every_frame(bench: Bench) -> None:
    microscope = bench.microscope(3)
    for number, truth in enumerate(microscope.run(), start=1):
        lines = microscope.manifest.read_text(encoding="utf-8").splitlines()

        assert len(lines) == number
        assert json.loads(lines[-1]) == json.loads(truth.as_json())


def test_the_manifest_stands_where_it_was_asked_for(bench: Bench, tmp_path: Path) -> None:
    bench.take(1, manifest=tmp_path / "truth" / "m.ndjson")

    assert (tmp_path / "truth" / "m.ndjson").read_text().count("\n") == 1
    assert not bench.out.with_name("acquisition.manifest.ndjson").exists()


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    runs = [
        [truth.sha256 for truth in Bench(tmp_path / name).take(4, vendor="mixed", seed=seed)]
        for name, seed in (("a", 7), ("b", 7), ("c", 8))
    ]

    assert runs[0] == runs[1]
    assert not set(runs[0]) & set(runs[2])


def test_categories_take_balanced_turns(bench: Bench) -> None:
    truths = bench.take(20, width=48, height=36)

    assert Counter(truth.category for truth in truths) == dict.fromkeys(CATEGORIES, 2)
    assert len({truth.category for truth in truths[:10]}) == 10
    assert [truth.category for truth in truths[:10]] != [truth.category for truth in truths[10:]]


def test_only_the_categories_asked_for_are_drawn(bench: Bench) -> None:
    truths = bench.take(4, categories=("Tips", "Powder"))

    assert Counter(truth.category for truth in truths) == {"Tips": 2, "Powder": 2}


def test_the_data_bar_does_not_tell_the_category() -> None:
    styles = [
        {take_picture(category, seed, "zeiss", **SMALL).data_bar for category in ("Tips", "Patterned_surface")}
        for seed in range(12)
    ]

    assert [{bar_style(seed, "zeiss")} for seed in range(12)] == styles
    assert len(set.union(*styles)) > 2


def test_bars_and_categories_are_independent_over_sessions() -> None:
    """Chi-square over category and style of 3000 frames; its 99.9 % point at 9 x 4 degrees of freedom is 67.99."""
    bars = VENDORS["zeiss"].bars
    counts = np.zeros((len(CATEGORIES), len(bars)))
    for seed in range(3):
        microscope = Microscope(Path("unused"), 1000, seed=seed)
        for index in range(1000):
            style = bar_style(microscope.seed_of(index), "zeiss")
            counts[CATEGORIES.index(microscope.category_of(index)), bars.index(style)] += 1
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()

    assert counts.min() > 30
    assert ((counts - expected) ** 2 / expected).sum() < 67.99


@pytest.mark.parametrize("style", STYLES)
def test_a_frame_smaller_than_its_bar_is_still_written(style: str) -> None:
    acquisition = take_picture("Tips", 1, **SMALL).acquisition
    pixels = np.zeros((12, 16), np.uint8)

    assert with_data_bar(pixels, style, acquisition, np.random.default_rng(1)).pixels.shape[1] == 16


def test_the_header_tells_what_the_manifest_tells(bench: Bench) -> None:
    for truth in bench.take(6, vendor="zeiss"):
        with tifffile.TiffFile(truth.path) as tiff:
            header = tiff.sem_metadata
        assert header is not None
        assert header["ap_wd"][1] == pytest.approx(truth.working_distance_mm)
        assert header["ap_actualkv"][1] == pytest.approx(truth.accelerating_voltage_kv)
        assert header["ap_stage_at_t"][1] == pytest.approx(truth.stage_tilt_deg)
        assert header["dp_detector_channel"][1] == truth.detector
        assert header[""][4] == pytest.approx(truth.magnification)


def test_magnification_field_and_pixel_size_agree() -> None:
    for vendor in VENDORS.values():
        picture = take_picture("Particles", 12, vendor.name, **SMALL)
        field_mm = picture.acquisition.pixel_size_nm * 64 * 1e-6

        assert field_mm * picture.acquisition.magnification == pytest.approx(vendor.reference_width_mm)
        assert field_mm * 1e3 == pytest.approx(picture.drawing.field_width_um, rel=0.06)


def test_a_bar_below_is_left_out_of_the_resolution() -> None:
    seed = next(
        seed for seed in range(30) if take_picture("Tips", seed, "thermofisher", **SMALL).data_bar.startswith("below")
    )
    picture = take_picture("Tips", seed, "thermofisher", **SMALL)
    with tifffile.TiffFile(io.BytesIO(picture.files("x.tif")[".tif"])) as tiff:
        assert tiff.fei_metadata is not None
        assert tiff.fei_metadata["Image"]["ResolutionY"] == 48 < len(tiff.asarray())


def test_a_frame_is_never_overwritten(bench: Bench) -> None:
    bench.take(1)
    before = sha256(str(bench.out / "frame_0001.tif"))

    with pytest.raises(EmwatchError, match=r"frame_0001\.tif: already there"):
        bench.take(1, seed=1)
    assert before == sha256(str(bench.out / "frame_0001.tif"))


def test_a_sidecar_is_never_overwritten_and_its_frame_then_not_written(bench: Bench) -> None:
    bench.out.mkdir()
    mine = bench.out / "frame_0001.txt"
    mine.write_text("mine", encoding="utf-8")

    with pytest.raises(EmwatchError, match=r"frame_0001\.txt: already there"):
        bench.take(1, vendor="hitachi")
    assert {path.name: path.read_text(encoding="utf-8") for path in bench.out.iterdir()} == {"frame_0001.txt": "mine"}


def test_numbering_can_go_on(bench: Bench) -> None:
    bench.take(2)
    bench.take(1, first_number=3, seed=1)

    assert sorted(path.name for path in bench.out.iterdir()) == [f"frame_000{number}.tif" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("given", "named"),
    [({"mode": "slow"}, "slow-write"), ({"vendor": "zeis"}, "thermofisher"), ({"categories": ("Tip",)}, "Tips")],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(bench: Bench, given: dict[str, object], named: str) -> None:
    with pytest.raises(EmwatchError, match=named):
        bench.microscope(1, **given)


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(EmwatchError, match="choose another --out"):
        list(Microscope(tmp_path / "file" / "frames", 1, **SMALL).run())
