from __future__ import annotations

import ast
import hashlib
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from emwatch.errors import EmwatchError
from emwatch.frame import CATEGORIES
from emwatch.simulate import scenes, specimens
from emwatch.simulate.painter import PAINTERS, draw_frame, kinds_of
from emwatch.simulate.scenes.imaging import Imaging, seen

each_painter = pytest.mark.parametrize("painter", PAINTERS)


@each_painter
@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_has_at_least_five_kinds(painter: str, category: str) -> None:
    kinds = kinds_of(category, painter)

    assert len(set(kinds)) == len(kinds) >= 5


@pytest.mark.parametrize("wing", [scenes, specimens], ids=PAINTERS)
def test_no_kind_belongs_to_two_categories_under_the_same_paint(wing: type[scenes]) -> None:
    paints = Counter(kind.paint for kinds in wing.KINDS.values() for kind in kinds)

    assert max(paints.values()) == 1


def test_each_kind_of_the_second_painter_names_where_it_is_known_from() -> None:
    sources = {kind.name: kind.source for kinds in specimens.KINDS.values() for kind in kinds}

    assert [name for name, source in sources.items() if len(source) < 10] == []


@pytest.mark.parametrize(
    ("seed", "size"),
    [
        (11, (96, 96)),
        pytest.param(12, (160, 120), marks=pytest.mark.slow),
        pytest.param(13, (160, 120), marks=pytest.mark.slow),
    ],
)
@each_painter
@pytest.mark.parametrize("category", CATEGORIES)
def test_every_kind_draws_the_same_twice_and_is_not_blank(
    painter: str, category: str, seed: int, size: tuple[int, int]
) -> None:
    for kind in kinds_of(category, painter):
        drawing, again = (draw_frame(category, seed, *size, painter=painter, kind=kind) for _ in range(2))

        assert np.array_equal(drawing.pixels, again.pixels)
        assert drawing.pixels.shape == size[::-1]
        assert (drawing.category, drawing.kind) == (category, kind)
        assert drawing.pixels.std() > 4
        assert len(np.unique(drawing.pixels)) > 30


@each_painter
@pytest.mark.parametrize("category", CATEGORIES)
def test_kinds_of_a_category_show_different_things(painter: str, category: str) -> None:
    """The same seed, imaged the same way: two kinds that agree in most pixels would be one kind twice."""
    pictures = [draw_frame(category, 21, 96, 72, painter=painter, kind=kind) for kind in kinds_of(category, painter)]

    for one, other in combinations(pictures, 2):
        apart = np.abs(one.pixels.astype(int) - other.pixels.astype(int))
        assert apart.mean() > 4, (one.kind, other.kind)


@each_painter
@pytest.mark.parametrize("category", CATEGORIES)
def test_another_seed_draws_another_picture(painter: str, category: str) -> None:
    first, other = (draw_frame(category, seed, 200, 150, painter=painter) for seed in (5, 6))

    assert not np.array_equal(first.pixels, other.pixels)


def test_the_painters_share_no_way_to_build_or_to_image() -> None:
    """Each may use planes of numbers, an empty height map and the record of a kind, nothing else but its own."""
    for wing, name in ((scenes, "scenes"), (specimens, "specimens")):
        allowed = (
            f"emwatch.simulate.{name}",
            "emwatch.simulate.planes",
            "emwatch.simulate.kind",
            "emwatch.simulate.height_map",
        )
        for file in sorted(Path(wing.__file__).parent.glob("*.py")):
            imported = {
                node.module or ""
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                if isinstance(node, ast.ImportFrom)
            }
            foreign = [module for module in imported if module.startswith("emwatch") and not module.startswith(allowed)]
            assert foreign == [], file


@each_painter
def test_drawing_leaves_no_trace_that_changes_the_next_one(painter: str) -> None:
    alone = draw_frame("Powder", 3, 160, 120, painter=painter).pixels
    for category in CATEGORIES:
        draw_frame(category, 9, 64, 48, painter=painter)
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter

    assert np.array_equal(alone, draw_frame("Powder", 3, 160, 120, painter=painter).pixels)


def test_sixteen_bits_are_used_where_asked_for() -> None:
    drawing = draw_frame("Tips", 4, 160, 120, bits=16)

    assert drawing.pixels.dtype == np.uint16
    assert len(np.unique(drawing.pixels)) > 1000
    assert np.abs(drawing.pixels // 257 - draw_frame("Tips", 4, 160, 120).pixels.astype(int)).max() <= 1


@each_painter
def test_the_imaging_is_the_same_for_every_category_at_a_seed(painter: str) -> None:
    tilts = [
        {
            draw_frame(category, seed, 48, 36, painter=painter).stage_tilt_deg
            for category in ("Patterned_surface", "Tips", "Particles")
        }
        for seed in range(12)
    ]

    assert all(len(found) == 1 for found in tilts)
    assert len(set.union(*tilts)) > 2


@each_painter
def test_brightness_and_contrast_do_not_tell_the_category(painter: str) -> None:
    """Without this an all-black Tips row would be learnt from its histogram: means of 8 frames must overlap."""
    means = {
        category: np.mean([draw_frame(category, seed, 64, 48, painter=painter).pixels.mean() for seed in range(8)])
        for category in CATEGORIES
    }

    assert max(means.values()) - min(means.values()) < 60


@pytest.mark.parametrize(("painter", "kind"), [("scenes", "pillars"), ("specimens", "dots")])
def test_a_tilt_asked_for_is_the_tilt_drawn(painter: str, kind: str) -> None:
    flat, tilted = (
        draw_frame("Patterned_surface", 2, 256, 192, painter=painter, kind=kind, stage_tilt_deg=tilt)
        for tilt in (0.0, 45.0)
    )

    assert (flat.stage_tilt_deg, tilted.stage_tilt_deg) == (0.0, 45.0)
    assert not np.array_equal(flat.pixels, tilted.pixels)


def test_the_field_width_fits_the_kind() -> None:
    widths = [draw_frame("Nanowires", seed, 48, 36, kind="hexagonal rods").field_width_um for seed in range(20)]

    assert 0.8 <= min(widths) < max(widths) <= 15.0


def test_an_unknown_painter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EmwatchError, match="unknown painter 'nobody': choose one of scenes, specimens"):
        draw_frame("Tips", 1, 64, 48, painter="nobody")


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
