"""The page as an operator uses it: a real browser, the real server, a real daemon, the pretend microscope."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the browser extra")
CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"needs {CHROMIUM}", allow_module_level=True)

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PAGES = ["/", "/frames", "/frames/1", "/review", "/ask", "/frames?category=Cats", "/nothing"]
SIZES = {"phone": (390, 844), "laptop": (1366, 768), "wall": (2560, 1440)}


@dataclass
class Site:
    """A running page with its daemon."""

    folder: Path
    address: str
    browser: Any
    troubles: list[str] = field(default_factory=list)

    @property
    def frames(self) -> Path:
        return self.folder / "frames"

    def open(self, path: str = "/", size: str = "laptop", *, dark: bool = False) -> Any:
        """Open a page whose console and requests are watched."""
        width, height = SIZES[size]
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        page.on("console", lambda each: self._hear(each, page))
        page.on("pageerror", lambda each: self.troubles.append(f"{page.url}: {each}"))
        page.on("request", lambda each: self._see(each.url))
        page.goto(self.address + path, wait_until="load")
        return page

    def _hear(self, message: Any, page: Any) -> None:
        # A browser writes the status of an answer that is meant to be an error into the console.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.troubles.append(f"{page.url}: {message.text}")

    def _see(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.troubles.append(f"a request elsewhere: {url}")

    def simulate(self, count: int, seed: int) -> None:
        """Let the pretend microscope write some frames."""
        options = ["--frames", str(count), "--rate", "0", "--seed", str(seed), "--first-number", str(seed * 1000)]
        _emwatch(self.folder, "simulate", "--out", str(self.frames), *options)


def _emwatch(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "emwatch", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "frames").mkdir()
    (folder / "lab.yaml").write_text(
        "watch: {directory: frames}\nledger: {path: ledger.sqlite3}\nmodel: {engine: stub}\n"
        "targets:\n  - {name: needle, min_probability: 0}\n"
    )
    program = [sys.executable, "-m", "emwatch"]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    daemon = subprocess.Popen(
        [*program, "run", "--plain", "--config", "lab.yaml"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = subprocess.Popen(
        [*program, "serve", "--port", "0", "--config", "lab.yaml"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    found = re.search(r"http://\S+?(?=/)", server.stderr.readline())
    assert found is not None
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        site = Site(folder, found[0], browser)
        site.simulate(6, 1)
        _until(lambda: _count(folder) >= 6)
        yield site
        browser.close()
    for process in (server, daemon):
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    server.stderr.close()


@pytest.fixture(autouse=True)
def _no_trouble(site: Site) -> Iterator[None]:
    """After every test: nothing in the console, and no request to anywhere else."""
    site.troubles.clear()
    yield
    for context in site.browser.contexts:
        context.close()
    assert site.troubles == []


def _until(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.1)


def _count(folder: Path, *filters: str) -> int:
    ended = subprocess.run(
        [sys.executable, "-m", "emwatch", "log", "--config", "lab.yaml", "--count", *filters],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return int(ended.stdout or 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PAGES)
def test_every_page_fits_and_has_no_serious_barrier(site: Site, path: str, size: str) -> None:
    page = site.open(path, size, dark=size == "wall")
    page.wait_for_timeout(500)
    found = axe.Axe().run(page)
    serious = [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found.response["violations"]
        if each["impact"] in {"serious", "critical"}
    ]
    if shots := os.environ.get("PAGE_SCREENSHOTS"):
        page.screenshot(path=Path(shots) / f"{re.sub(r'[^a-z0-9]+', '_', path) or 'live'}-{size}.png")

    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]


def test_a_new_frame_appears_by_itself_and_the_target_lights_up(site: Site) -> None:
    page = site.open()
    page.wait_for_selector("#last .verdict")
    site.simulate(1, 7)

    page.wait_for_selector("#last :text('frame_7000')", timeout=15_000)
    assert "seen" in page.locator("#targets .state").inner_text()
    assert page.locator("#recent li").count() >= 7


def test_after_a_lost_connection_nothing_is_missing(site: Site) -> None:
    page = site.open()
    page.wait_for_selector("#last .verdict")
    page.context.set_offline(True)
    before = _count(site.folder)
    site.simulate(3, 8)
    _until(lambda: _count(site.folder) == before + 3)
    page.context.set_offline(False)

    shown = page.locator("#recent .pale").filter(has_text="frame_800")
    playwright.expect(shown).to_have_count(3, timeout=30_000)


def test_frames_are_reviewed_by_keyboard_alone(site: Site) -> None:
    page = site.open("/review")
    page.wait_for_selector("#shown .verdict")
    reviewed = _count(site.folder, "--reviewed")
    first = page.locator("#shown").inner_text()
    page.keyboard.press("c")
    playwright.expect(page.locator("#done li")).to_have_count(1)
    assert page.locator("#shown").inner_text() != first
    page.keyboard.press("5")
    playwright.expect(page.locator("#done li")).to_have_count(2)
    page.keyboard.press("z")
    playwright.expect(page.locator("#done li")).to_have_count(1)

    _until(lambda: _count(site.folder, "--reviewed") == reviewed + 2)


def test_a_picture_is_asked_about_and_not_recorded(site: Site) -> None:
    before = _count(site.folder, "--all")
    page = site.open("/ask")
    page.set_input_files("#files", next(site.frames.glob("frame_100*.tif")))

    page.wait_for_selector("#answers .verdict", timeout=30_000)
    assert page.locator("#answers meter").count() == 10
    page.set_input_files("#files", {"name": "a.tif", "mimeType": "image/tiff", "buffer": b"no picture"})
    page.wait_for_selector("#answers .bad")
    assert _count(site.folder, "--all") == before


def test_every_maker_s_file_is_answered_about(site: Site, real_frames: Path) -> None:
    page = site.open("/ask")
    for folder in sorted(each for each in real_frames.iterdir() if each.is_dir()):
        frame = min(
            (each for each in folder.iterdir() if each.suffix.lower() in {".tif", ".jpg", ".png", ".bmp"}), default=None
        )
        if frame is None:
            continue
        page.set_input_files("#files", frame)
        playwright.expect(page.locator("#asking")).to_be_empty(timeout=60_000)
        page.get_by_role("heading", name=frame.name, exact=True).wait_for()

    assert page.locator("#answers .bad").count() == 0


def test_the_gallery_keeps_its_filter_in_the_address(site: Site) -> None:
    page = site.open("/frames")
    page.locator("summary").click()
    page.locator("input[name=path]").fill("frame_100*")
    page.keyboard.press("Enter")
    page.wait_for_url("**path=frame_100*")

    assert page.locator("#tiles li").count() == 6
    page.wait_for_selector("#count:text('6 frames')")


def test_an_enlarged_picture_can_be_scrolled(site: Site) -> None:
    page = site.open("/frames/1")
    page.locator("#larger").click()

    assert page.locator("#larger").get_attribute("aria-pressed") == "true"
    playwright.expect(page.locator("#picture")).to_have_js_property("complete", True)
    assert page.locator("#picture").evaluate("picture => picture.naturalWidth") > 600
