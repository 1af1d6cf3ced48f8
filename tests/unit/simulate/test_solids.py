from __future__ import annotations

import math

import numpy as np
import pytest

from emwatch.simulate.scenes.canvas import Canvas
from emwatch.simulate.scenes.solids import anyhow, prism, put, turned


def _area(outline: list[tuple[float, float]]) -> float:
    x, y = np.array(outline).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def test_an_upright_prism_shows_its_far_end_only_and_a_lying_one_its_sides() -> None:
    upright = prism((50, 40), 5, (6, 10, 30), turned(0, 0, 0), 0.8)
    lying = prism((50, 40), 5, (6, 10, 30), turned(math.pi / 2, 0, 0.3), 0.8)

    assert [len(face.outline) for face in upright] == [6]
    assert upright[0].z == pytest.approx(35)
    assert 2 <= len(lying) <= 4
    assert {len(face.outline) for face in lying} <= {4, 6}


def test_the_faces_that_are_seen_cover_the_shadow_once() -> None:
    """The projected faces of a convex body that look up make up its outline: half of all projected faces together."""
    canvas = Canvas(np.random.default_rng(3), 40, 30)
    for _ in range(20):
        rotation = anyhow(canvas)
        side = 10 * math.sqrt(2)
        faces = prism((0, 0), 0, (4, 10, 20), rotation, 0.5)
        shadow = side * side * abs(rotation[2, 2]) + side * 20 * float(np.abs(rotation[2, :2]).sum())
        assert sum(_area(face.outline) for face in faces) == pytest.approx(shadow, rel=0.08)


def test_a_face_laid_later_hides_those_below() -> None:
    canvas = Canvas(np.random.default_rng(0), 60, 60)
    low, high = (prism((30, 30), base, (4, 12, 3), turned(0, 0, 0), tone) for base, tone in ((0, 0.2), (9, 0.9)))

    put(canvas, [*low, *high])

    assert canvas.z[30, 30] == pytest.approx(12)
    assert canvas.tone[30, 30] == pytest.approx(0.9 * 0.92)
    assert canvas.z[2, 2] == 0
