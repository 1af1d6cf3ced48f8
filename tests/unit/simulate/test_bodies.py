"""What stands in front hides what is behind, and a tilt shows its sides: the third painter's buffer of depths."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emwatch.simulate.bodies.shapes import box, carve, extrude, heap
from emwatch.simulate.bodies.stage import NOTHING, Stage


def stage(tilt_deg: float = 0.0, width: int = 96, height: int = 72) -> Stage:
    return Stage(np.random.default_rng(1), width, height, tilt_deg)


def test_a_ball_is_round_and_hides_the_one_below_it() -> None:
    scene = stage()
    scene.balls(np.array([[0.0, 0.0, 0.0]]), np.array([25.0]), 0.2)
    scene.balls(np.array([[0.0, 0.0, 30.0]]), np.array([10.0]), 0.8)

    assert (scene.z > NOTHING).sum() == pytest.approx(math.pi * 25**2, rel=0.03)
    assert scene.matter[36, 48] == np.float32(0.8)
    assert scene.matter[36, 48 + 15] == np.float32(0.2)
    assert scene.nz[36, 48] == pytest.approx(1, abs=0.01)
    assert scene.nx[36, 48 + 20] > 0.7


@pytest.mark.parametrize("tilt_deg", [0.0, 30.0, 60.0])
def test_surfaces_have_no_holes_at_any_tilt(tilt_deg: float) -> None:
    scene = stage(tilt_deg)
    scene.terrain(np.zeros(scene.shape(), np.float32), 0.3)
    scene.rods(np.array([[0.0, 0, 0]]), np.array([[0.0, 0, 30]]), np.array([8.0]), 0.7)
    rod = scene.matter > 0.5

    assert (scene.z > NOTHING).all()
    for column in rod[:, 44:52].T:
        seen = np.flatnonzero(column)
        assert len(seen) == (seen.max() - seen.min() + 1 if len(seen) else 0)


def test_a_tilt_shows_the_height_of_what_stands_up() -> None:
    scene = stage(45.0, 200, 200)
    extrude(scene, [[(-20, -20), (20, -20), (20, 20), (-20, 20)]], 0, 40, 0.5)
    rows = np.flatnonzero((scene.z > NOTHING).any(axis=1))

    assert rows.max() - rows.min() == pytest.approx((40 + 40) * math.sin(math.pi / 4), abs=3)


def test_a_box_has_flat_faces_at_right_angles() -> None:
    scene = stage(30.0, 200, 200)
    scene.solid(np.zeros(3), box(30, 30, 30), np.eye(3), 0.5)
    body = scene.z > NOTHING
    normals = np.unique(np.stack([plane[body] for plane in (scene.nx, scene.ny, scene.nz)], axis=1).round(2), axis=0)

    assert len(normals) == 2
    assert abs(normals[0] @ normals[1]) < 0.02


def test_a_carved_cell_is_deep_and_shows_the_next_one_through_its_window() -> None:
    scene = stage(0.0, 200, 200)
    scene.terrain(np.zeros(scene.shape(), np.float32), 0.5)
    carve(scene, np.array([[0.0, 0, -20], [20, 0, -60]]), np.array([30.0, 30.0]), 0.4, -500)

    assert scene.z[100, 100] == pytest.approx(-60 - math.sqrt(30**2 - 20**2), abs=2)
    assert scene.z[100, 100 - 15] == pytest.approx(-20 - math.sqrt(30**2 - 15**2), abs=2)
    assert scene.z[100, 190] == pytest.approx(0, abs=0.1)


def test_bodies_in_a_heap_lie_on_each_other() -> None:
    scene = stage()
    centres = heap(scene, np.full(200, 6.0))

    assert centres[:, 2].min() == pytest.approx(6, abs=0.5)
    assert centres[:, 2].max() > 20
