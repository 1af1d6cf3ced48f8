"""The map as somebody opens it: a file in a real browser, moved, zoomed, asked about a frame, without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra")
CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"needs {CHROMIUM}", allow_module_level=True)


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "frames").mkdir()
    (tmp_path / "lab.yaml").write_text(
        "watch: {directory: frames}\nledger: {path: ledger.sqlite3}\nmodel: {engine: stub}\n"
        "targets:\n  - {name: anything, min_probability: 0}\n"
    )
    for arguments in (
        ("simulate", "--out", "frames", "--frames", "4", "--rate", "0", "--seed", "5"),
        ("run", "--once", "--config", "lab.yaml"),
        ("map", "--config", "lab.yaml", "--out", "map.html"),
    ):
        subprocess.run([sys.executable, "-m", "emwatch", *arguments], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.fixture(name="opened")
def _opened(lab: Path) -> Iterator[tuple[Any, list[str]]]:
    with playwright.sync_playwright() as program:
        browser = program.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1300, "height": 860})
        troubles: list[str] = []
        page.on("console", lambda each: troubles.append(each.text))
        page.on("pageerror", lambda each: troubles.append(str(each)))
        page.on("request", lambda each: troubles.append(each.url) if each.url[:5] not in {"data:", "file:"} else None)
        page.goto((lab / "map.html").as_uri())
        yield page, troubles
        browser.close()


def spot(page: Any, number: int) -> tuple[float, float]:
    """Return where on the screen a frame's stage position is, by the axes that the page shows."""
    return tuple(
        page.evaluate(
            """number => {
                const box = paper.getBoundingClientRect(), [x, y] = data.frames[number].at;
                return [box.left + (x - centreX - view[0]) / view[2] * box.width,
                        box.top + (centreY - y - view[1]) / view[3] * box.height];
            }""",
            number,
        )
    )


def test_it_works_offline_without_an_error(lab: Path, opened: tuple[Any, list[str]]) -> None:
    page, troubles = opened
    page.mouse.move(*spot(page, 2))
    card = page.locator("#card")
    assert "anything" in card.inner_text()
    assert card.locator("img").evaluate("each => each.naturalWidth") > 100
    name = card.locator("b").inner_text()
    meta = [sys.executable, "-m", "emwatch", "meta", "--json", str(lab / "frames" / name)]
    told = json.loads(subprocess.run(meta, check=True, capture_output=True).stdout)
    assert f"x {told['stage_x_mm']:.4f} mm, y {told['stage_y_mm']:.4f} mm" in card.inner_text()

    for _ in range(30):  # to the frame's own size: its polygon fills a good part of the map
        page.mouse.move(*spot(page, 2))
        page.mouse.wheel(0, -100)
        page.wait_for_timeout(20)
    shown_um = page.evaluate("view[2]")
    assert shown_um < 500
    page.mouse.click(*spot(page, 2))
    page.keyboard.press("0")
    assert page.evaluate("view.join()") == page.evaluate("all.join()")
    page.mouse.move(*spot(page, 1))
    assert f"from {name}: " in card.inner_text()

    page.locator("[data-legend]").first.click()
    assert page.locator("g.off[data-frame]").count() > 0
    assert not troubles
