from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from emwatch.errors import EmwatchError
from emwatch.frame import CATEGORIES
from emwatch.simulate.imaging import Imaging, seen
from emwatch.simulate.painter import draw_frame, kinds_of

ALL_KINDS = [(category, kind) for category in CATEGORIES for kind in kinds_of(category)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_has_at_least_five_kinds(category: str) -> None:
    assert len(set(kinds_of(category))) == len(kinds_of(category)) >= 5


def test_no_kind_belongs_to_two_categories_under_the_same_paint() -> None:
    from emwatch.simulate.scenes import KINDS

    paints = Counter(kind.paint for kinds in KINDS.values() for kind in kinds)

    assert max(paints.values()) == 1


@pytest.mark.parametrize(("category", "kind"), ALL_KINDS)
@pytest.mark.parametrize("size", [(96, 96), (160, 120)], ids=["square", "4 to 3"])
def test_every_kind_draws_and_is_not_blank(category: str, kind: str, size: tuple[int, int]) -> None:
    drawing = draw_frame(category, 11, *size, kind=kind)

    assert drawing.pixels.shape == size[::-1]
    assert (drawing.category, drawing.kind) == (category, kind)
    assert drawing.pixels.std() > 4
    assert len(np.unique(drawing.pixels)) > 30


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_same_seed_gives_the_same_pixels_and_another_gives_others(category: str) -> None:
    first, again, other = (draw_frame(category, seed, 200, 150) for seed in (5, 5, 6))

    assert np.array_equal(first.pixels, again.pixels)
    assert (first.kind, first.field_width_um) == (again.kind, again.field_width_um)
    assert not np.array_equal(first.pixels, other.pixels)


def test_drawing_leaves_no_trace_that_changes_the_next_one() -> None:
    alone = draw_frame("Powder", 3, 160, 120).pixels
    for category in CATEGORIES:
        draw_frame(category, 9, 64, 48)
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter

    assert np.array_equal(alone, draw_frame("Powder", 3, 160, 120).pixels)


def test_sixteen_bits_are_used_where_asked_for() -> None:
    drawing = draw_frame("Tips", 4, 160, 120, bits=16)

    assert drawing.pixels.dtype == np.uint16
    assert len(np.unique(drawing.pixels)) > 1000
    assert np.abs(drawing.pixels // 257 - draw_frame("Tips", 4, 160, 120).pixels.astype(int)).max() <= 1


def test_the_imaging_is_the_same_for_every_category_at_a_seed() -> None:
    tilts = [
        {draw_frame(category, seed, 48, 36).stage_tilt_deg for category in ("Patterned_surface", "Tips", "Particles")}
        for seed in range(12)
    ]

    assert all(len(found) == 1 for found in tilts)
    assert len(set.union(*tilts)) > 2


def test_brightness_and_contrast_do_not_tell_the_category() -> None:
    """Without this an all-black Tips row would be learnt from its histogram: means of 8 frames must overlap."""
    means = {
        category: np.mean([draw_frame(category, seed, 64, 48).pixels.mean() for seed in range(8)])
        for category in CATEGORIES
    }

    assert max(means.values()) - min(means.values()) < 60


def test_a_tilt_asked_for_is_the_tilt_drawn() -> None:
    flat, tilted = (
        draw_frame("Patterned_surface", 2, 256, 192, kind="pillars", stage_tilt_deg=tilt) for tilt in (0.0, 45.0)
    )

    assert (flat.stage_tilt_deg, tilted.stage_tilt_deg) == (0.0, 45.0)
    assert not np.array_equal(flat.pixels, tilted.pixels)


def test_the_field_width_fits_the_kind() -> None:
    widths = [draw_frame("Nanowires", seed, 48, 36, kind="hexagonal rods").field_width_um for seed in range(20)]

    assert 0.8 <= min(widths) < max(widths) <= 15.0


@pytest.mark.parametrize(
    ("category", "kind", "named"), [("Sponge", None, "Porous_Sponge"), ("Tips", "needles", "stepped needle")]
)
def test_an_unknown_category_or_kind_is_refused_with_the_known_ones(
    category: str, kind: str | None, named: str
) -> None:
    with pytest.raises(EmwatchError, match=named):
        draw_frame(category, 1, 64, 48, kind=kind)


def test_imaging_settings_are_drawn_from_a_stream_of_their_own() -> None:
    def drawn() -> str:
        rng = np.random.Generator(np.random.PCG64(8))
        return hashlib.sha256(repr([Imaging.drawn(rng) for _ in range(5)]).encode()).hexdigest()

    assert drawn() == drawn()


def test_rough_surfaces_show_their_grain_and_polished_ones_do_not() -> None:
    imaging = replace(Imaging.drawn(np.random.default_rng(1), 0.0), grain=0.0, shot_noise=0.0, line_noise=0.0)
    z, tone = np.zeros((96, 128), np.float32), np.full((96, 128), 0.4, np.float32)

    polished, rough = (
        seen(z, tone, replace(imaging, grain=grain, grain_px=40.0), np.random.default_rng(2)) for grain in (0.0, 0.2)
    )

    assert polished[20:-20, 20:-20].std() < 0.02
    assert rough[20:-20, 20:-20].std() > 2 * polished[20:-20, 20:-20].std()
