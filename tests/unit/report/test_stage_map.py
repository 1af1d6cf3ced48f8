"""A map is drawn to scale: each place and size in it is measured, and compared with what the frames' metadata say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from emwatch.ledger.positions import Position
from emwatch.report.stage_map import length_text, page, round_length, stage_map, svg
from emwatch.stage import Placement
from emwatch.testing import NOON

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</script><script>alert(1)</script>.tif"


def position(
    number: int, placement: Placement, *, name: str = "", category: str = "Tips", hit: bool = False
) -> Position:
    path = Path("/acq") / (name or f"{number}.tif")
    return Position(number, path, "s", NOON, category, 0.9, False, 100.0, ("tips",) if hit else (), placement)


def placed(x_mm: float, y_mm: float, width_um: float = 1000.0, **more: float | str) -> Placement:
    known = {"stage_rotation_deg": 0.0, "stage_tilt_deg": 0.0, "scan_rotation_deg": 0.0, "vendor": "Zeiss"}
    return Placement(
        stage_x_mm=x_mm,
        stage_y_mm=y_mm,
        horizontal_field_width_um=width_um,
        width_px=1024,
        height_px=768,
        **known | more,
    )


CORNERS = [
    position(1, placed(-10, -10), hit=True),
    position(2, placed(10, -10), category="Fibres"),
    position(3, placed(10, 10, 2000)),
    position(4, placed(0, 0, scan_rotation_deg=90.0)),
]


def drawn_mm(document: ET.Element, number: int) -> list[tuple[float, float]]:
    """Return the corners of a frame in mm, as somebody would who has a ruler and reads the axes."""
    stage = next(each for each in document.iter(f"{SVG}svg") if each.get("id") == "stage")
    left, top, width, height = (float(stage.attrib[name]) for name in ("x", "y", "width", "height"))
    x0, y0, shown_width, shown_height = (float(each) for each in stage.attrib["viewBox"].split())
    frame = next(each for each in stage if f">{number}.tif" in ET.tostring(each, "unicode"))
    points = [each.split(",") for each in frame.find(f"{SVG}polygon").attrib["points"].split()]
    pixels = [
        (left + (float(x) - x0) / shown_width * width, top + (float(y) - y0) / shown_height * height) for x, y in points
    ]
    axes = next(each for each in document.iter(f"{SVG}g") if each.get("id") == "axes")
    marks = [each for each in axes if each.tag == f"{SVG}text" and re.fullmatch(r"-?[\d.]+", each.text or "")]
    along = [each for each in marks if each.get("text-anchor") == "middle"]
    up = [each for each in marks if each.get("text-anchor") == "end"]

    def read(value: float, name: str, ticks: list[ET.Element], shift: float) -> float:
        (a, at_a), (b, at_b) = ((float(each.text), float(each.attrib[name]) - shift) for each in (ticks[0], ticks[-1]))
        return a + (value - at_a) / (at_b - at_a) * (b - a)

    return [(read(x, "x", along, 0), read(y, "y", up, 4)) for x, y in pixels]


def test_places_and_sizes_read_off_the_axes_are_those_of_the_metadata() -> None:
    document = ET.fromstring(svg(stage_map(CORNERS), "a session"))
    near = lambda *points: [pytest.approx(each, abs=0.01) for each in points]  # noqa: E731 - one line says it
    assert drawn_mm(document, 1) == near((-10.5, -9.625), (-9.5, -9.625), (-9.5, -10.375), (-10.5, -10.375))
    assert drawn_mm(document, 3) == near((9, 10.75), (11, 10.75), (11, 9.25), (9, 9.25))
    # Turned by 90°: the upper left of the picture is at the lower left of the stage.
    assert drawn_mm(document, 4) == near((-0.375, -0.5), (-0.375, 0.5), (0.375, 0.5), (0.375, -0.5))


def test_the_scale_bar_is_as_long_as_its_label_says() -> None:
    document = ET.fromstring(svg(stage_map(CORNERS), "a session"))
    parts = {each.get("id"): each for each in document.iter() if each.get("id")}
    shown_um = float(parts["stage"].attrib["viewBox"].split()[2])
    bar_um = float(parts["bar"].attrib["width"]) * shown_um / float(parts["stage"].attrib["width"])
    label = parts["bar-label"].text or ""
    assert label.endswith(" mm")
    assert bar_um == pytest.approx(float(label.split()[0]) * 1e3, rel=1e-3)


def test_hits_lie_on_top_and_the_legend_counts() -> None:
    chart = stage_map([*CORNERS, position(5, Placement())])
    assert chart.placed[-1][0].frame_id == 1
    assert (chart.hits, chart.unplaced) == (1, 1)
    text = svg(chart, "a session")
    for said in ("Tips (3)", "Fibres (1)", "met a target (1)", "4 frames, 1 hit", "1 without a stage position"):
        assert said in text


def test_what_was_assumed_and_what_does_not_belong_together_is_said() -> None:
    unknown = Placement(stage_x_mm=1.0, stage_y_mm=1.0, vendor="JEOL")
    turned = placed(0, 0, stage_rotation_deg=30.0)
    notes = "\n".join(stage_map([*CORNERS, position(5, unknown), position(6, turned)]).notes)
    assert "1 of 6: the scale is not known: drawn as a point" in notes
    assert "frames of JEOL, Zeiss on one map" in notes
    assert "2 stage rotations on one map: emwatch map --on-sample" in notes
    assert "stage rotations" not in "\n".join(stage_map([position(6, turned)]).notes)


def test_a_single_frame_without_a_scale_can_be_drawn() -> None:
    point = Placement(stage_x_mm=1.0, stage_y_mm=1.0)
    ET.fromstring(svg(stage_map([position(1, point)]), "x"))


def test_names_cannot_break_out_of_the_page() -> None:
    chart = stage_map([position(1, placed(0, 0), name=HOSTILE)])
    made = page(chart, HOSTILE, {1: b"\xff\xd8\xff"})
    assert "<script>alert" not in made
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', made, re.DOTALL)
    assert data is not None
    frame = json.loads(data[1])["frames"][0]
    assert frame["name"] == HOSTILE.rpartition("/")[2]
    assert frame["thumbnail"] == "/9j/"
    assert (frame["at"], frame["size"]) == ([0, 0], [1000, 750])


@pytest.mark.parametrize(("most", "text"), [(1300.0, "1 mm"), (700.0, "500 µm"), (0.03, "20 nm"), (5e4, "50 mm")])
def test_lengths_are_round(most: float, text: str) -> None:
    assert length_text(round_length(most)) == text
