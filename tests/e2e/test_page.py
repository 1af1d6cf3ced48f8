"""The page as an operator uses it: a real browser, the real server, a real daemon, the pretend microscope."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml
from PIL import Image

from emwatch.simulate.painter import draw_frame

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
PAGES = ["/", "/frames", "/frames/1", "/map", "/review", "/ask", "/frames?category=Cats"]
#: What a page hears when its tab is hidden, or shown again.
TURN = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
SIZES = {"phone": (390, 844), "laptop": (1366, 768), "wall": (2560, 1440)}


@dataclass
class Site:
    """A running page with its daemon."""

    folder: Path
    port: int
    browser: Any = None
    daemon: Any = None
    troubles: list[str] = field(default_factory=list)

    @property
    def frames(self) -> Path:
        return self.folder / "frames"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configure(self, *more_targets: str) -> None:
        targets = "".join(f"\n  - {each}" for each in ("{name: needle, min_probability: 0}", *more_targets))
        (self.folder / "lab.yaml").write_text(
            "watch: {directory: frames, data_bar: never}\nledger: {path: ledger.sqlite3}\n"
            f"web: {{serve: true, port: {self.port}}}\ntargets:{targets}\n"
        )

    def read(self, path: str) -> str:
        """What an address answers, "" while nobody does."""
        try:
            with urllib.request.urlopen(f"{self.address}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def page_process(self) -> psutil.Process:
        children = psutil.Process(self.daemon.pid).children()
        return next(each for each in children if "emwatch.web.child" in each.cmdline())

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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site = Site(folder, port)
    site.configure()
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    site.daemon = subprocess.Popen(
        [sys.executable, "-m", "emwatch", "run", "--plain", "--config", "lab.yaml"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with playwright.sync_playwright() as driver:
        site.browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        site.simulate(6, 1)
        _until(lambda: _count(folder) >= 6)
        _until(lambda: site.read("/api/v1/choices"))
        yield site
        site.browser.close()
    site.daemon.terminate()
    site.daemon.wait(20)


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


@pytest.mark.parametrize("path", PAGES)
def test_every_page_fits_and_has_no_serious_barrier(site: Site, path: str) -> None:
    for size, dark in (("laptop", False), ("wall", True)):
        page = site.open(path, size, dark=dark)
        page.wait_for_load_state("networkidle" if path != "/" else "load")
        page.wait_for_timeout(200)
        found = axe.Axe().run(page)
        serious = [
            f"{each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in found.response["violations"]
            if each["impact"] in {"serious", "critical"}
        ]
        assert serious == [], size
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, size


def test_no_name_is_so_long_that_a_page_does_not_fit(site: Site) -> None:
    before = _count(site.folder)
    name = "wafer7" + "x" * 230 + ".tif"
    (site.frames / name).write_bytes(next(site.frames.glob("frame_100*.tif")).read_bytes() + b"\0")
    _until(lambda: _count(site.folder) == before + 1)
    number = json.loads(site.read("/api/v1/frames?path=wafer7*"))["frames"][0]["id"]

    for path in ("/", f"/frames/{number}", "/frames", f"/review?id={number}"):
        page = site.open(path, "phone")
        page.get_by_text("wafer7").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0], path
    page.keyboard.press("u")
    page.locator("#done li").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]


def test_new_frames_appear_within_a_second_of_their_rows_and_the_target_lights_up(site: Site) -> None:
    page = site.open()
    page.wait_for_selector("#last .verdict")
    page.evaluate("""() => {
        window.shownAt = {};
        new MutationObserver((changes) => {
            for (const each of changes) for (const node of each.addedNodes) window.shownAt[node.dataset.id] = Date.now();
        }).observe(document.getElementById("recent"), { childList: true });
    }""")
    site.simulate(3, 7)

    page.wait_for_selector("#recent :text('frame_7002')", timeout=15_000)
    shown_at = page.evaluate("window.shownAt")
    delays_s = []
    for number, at_ms in shown_at.items():
        recorded_at = page.evaluate(
            "async (number) => (await (await fetch(`/api/v1/frames/${number}`)).json()).recorded_at", number
        )
        delays_s.append(at_ms / 1000 - datetime.fromisoformat(recorded_at).timestamp())
    assert len(delays_s) == 3
    assert min(delays_s) < 1, delays_s  # the least: a busy machine may hold up any one of them
    assert "seen" in page.locator("#targets .state").first.inner_text()


def test_alerts_are_acknowledged_and_snoozed_from_the_page(site: Site) -> None:
    page = site.open()
    card = page.locator("[data-target=needle]")
    card.get_by_role("button", name="Acknowledge").click(timeout=15_000)
    playwright.expect(card.get_by_role("button", name="Acknowledge")).to_have_count(0, timeout=15_000)

    card.get_by_role("combobox").select_option(label="for 1 hour")
    card.get_by_role("button", name="Snooze").click()
    playwright.expect(card.get_by_text("silent until")).to_be_visible(timeout=15_000)
    card.get_by_role("button", name="Alert again").click()
    playwright.expect(card.get_by_role("combobox")).to_be_visible(timeout=15_000)


def test_a_menu_that_has_the_focus_keeps_back_no_hit_and_arrow_keys_in_it_snooze_nothing(site: Site) -> None:
    page = site.open()
    card = page.locator("[data-target=needle]")
    menu = card.get_by_role("combobox")
    menu.focus()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    handle = menu.element_handle()
    before = card.inner_text()
    site.simulate(2, 31)

    playwright.expect(card).not_to_have_text(before, timeout=15_000)
    playwright.expect(card.get_by_role("button", name="Acknowledge 2")).to_be_visible(timeout=15_000)
    assert page.evaluate("(menu) => menu === document.activeElement", handle)
    assert menu.input_value() == "240"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    playwright.expect(card.get_by_role("button", name="Alert again")).to_be_focused(timeout=15_000)
    page.keyboard.press("Enter")
    playwright.expect(card.get_by_role("button", name="Snooze")).to_be_focused(timeout=15_000)


def test_a_page_that_was_killed_comes_back_and_misses_nothing(site: Site) -> None:
    page = site.open()
    page.wait_for_selector("#last .verdict")
    before = _count(site.folder)
    killed = site.page_process()
    killed.kill()
    site.simulate(2, 9)
    _until(lambda: _count(site.folder) == before + 2)

    playwright.expect(page.locator("#lost")).to_contain_text("connection is lost")
    shown = page.locator("#recent .pale").filter(has_text="frame_900")
    playwright.expect(shown).to_have_count(2, timeout=30_000)
    playwright.expect(page.locator("#lost")).to_be_hidden()
    assert site.page_process().pid != killed.pid


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


def test_a_tab_that_nobody_sees_leaves_its_connection_to_others_and_catches_up(site: Site) -> None:
    page = site.open()
    page.wait_for_selector("#last .verdict")

    _turn(page, hidden=True)
    _until(lambda: "emwatch_open_pages 0" in site.read("/metrics"))
    before = _count(site.folder)
    site.simulate(2, 11)
    _until(lambda: _count(site.folder) == before + 2)
    _turn(page, hidden=False)

    shown = page.locator("#recent .pale").filter(has_text="frame_1100")
    playwright.expect(shown).to_have_count(2)


def test_a_tab_that_is_opened_unseen_takes_no_connection_before_it_is_seen(site: Site) -> None:
    page = site.open("/frames")
    page.add_init_script(f"({TURN})(true)")
    streams: list[str] = []
    page.on("request", lambda each: streams.extend([each.url] if "/events" in each.url else []))
    page.goto(site.address)
    page.wait_for_selector("#last .verdict")
    page.wait_for_timeout(500)
    assert streams == []

    _turn(page, hidden=False)
    page.wait_for_selector("#targets .state")
    assert len(streams) == 1


def test_a_tab_that_is_seen_before_it_knows_the_last_frame_is_not_told_old_ones(site: Site) -> None:
    page = site.open("/frames")
    streams: list[str] = []
    page.on("request", lambda each: streams.extend([each.url] if "/events" in each.url else []))

    def answer_late(route: Any) -> None:
        _turn(page, hidden=False)
        route.continue_()

    page.route("**/api/v1/frames?limit=*", answer_late)
    page.goto(site.address)
    page.wait_for_selector("#targets .state")

    assert len(streams) == 1
    assert not streams[0].endswith("after=0")


def _turn(page: Any, *, hidden: bool) -> None:
    """Let a page believe that its tab is hidden, or shown."""
    page.evaluate(TURN, hidden)


def test_an_open_page_asks_for_nothing_but_the_pictures_of_new_frames(site: Site) -> None:
    page = site.open()
    page.wait_for_selector("#targets .state")
    page.wait_for_load_state("load")
    page.wait_for_timeout(1000)
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url.removeprefix(site.address)))
    site.simulate(1, 12)
    page.wait_for_selector("#recent :text('frame_12000')")
    page.wait_for_timeout(6000)

    number = page.locator("#recent li").first.get_attribute("data-id")
    assert sorted(each.split("?")[0] for each in asked) == 2 * [f"/api/v1/frames/{number}/picture"]
    assert all("&v=" in each for each in asked)


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


def test_two_who_review_at_once_are_told_and_do_nothing_twice(site: Site) -> None:
    pages = [site.open("/review") for _ in range(2)]
    first, second = (page.locator("#shown .verdict + p") for page in pages)
    playwright.expect(second).to_have_text(first.inner_text())
    shown = first.inner_text()
    reviewed = _count(site.folder, "--reviewed")
    pages[0].keyboard.press("5")
    _until(lambda: _count(site.folder, "--reviewed") == reviewed + 1)

    pages[1].keyboard.press("r")
    playwright.expect(pages[1].locator("#said")).to_contain_text("reviewed meanwhile")
    assert second.inner_text() == shown
    pages[0].keyboard.press("5")
    _until(lambda: _count(site.folder, "--reviewed") == reviewed + 2)
    pages[1].keyboard.press("Space")
    playwright.expect(second).to_have_text(first.inner_text())
    assert pages[1].locator("#done li").count() == 0


def test_a_key_pressed_twice_reviews_one_frame_and_skips_none(site: Site) -> None:
    page = site.open("/review")
    page.wait_for_selector("#shown .verdict")
    page.keyboard.press("Space")
    playwright.expect(page.locator("#said")).to_contain_text("skipped")
    page.evaluate(
        """() => ["c", "c"].forEach((key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })))"""
    )
    playwright.expect(page.locator("#done li")).to_have_count(1)
    page.wait_for_timeout(500)

    assert page.locator("#done li").count() == 1


def test_a_picture_is_asked_about_and_not_recorded(site: Site) -> None:
    before = _count(site.folder, "--all")
    page = site.open("/ask")
    page.set_input_files("#files", next(site.frames.glob("frame_100*.tif")))

    page.wait_for_selector("#answers .verdict", timeout=30_000)
    assert page.locator("#answers meter").count() == 10
    page.set_input_files("#files", {"name": "a.tif", "mimeType": "image/tiff", "buffer": b"no picture"})
    page.wait_for_selector("#answers .bad")
    assert _count(site.folder, "--all") == before


def test_more_pictures_than_are_answered_about_in_a_minute_wait_for_their_turn(site: Site) -> None:
    page = site.open("/ask")
    refused: list[str] = []

    def answer(route: Any) -> None:
        if len(refused) == 1:
            route.continue_()
            return
        refused.append(route.request.url)
        error = {"status": 429, "message": "30 pictures within a minute are the limit", "advice": "Wait a moment"}
        route.fulfill(status=429, json={"error": error})

    page.route("**/api/v1/ask", answer)
    page.set_input_files("#files", sorted(site.frames.glob("frame_100*.tif"))[:2])
    playwright.expect(page.locator("#asking")).to_contain_text("waits: 30 pictures")
    playwright.expect(page.locator("#answers .verdict")).to_have_count(2, timeout=30_000)
    assert page.locator("#answers .bad").count() == 0


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
    page.locator("#filter summary").click()
    page.locator("input[name=path]").fill("frame_100*")
    page.keyboard.press("Enter")
    page.wait_for_url("**path=frame_100*")

    assert page.locator("#tiles li").count() == 6
    page.wait_for_selector("#count:text('6 frames')")


def test_the_filter_that_is_shown_is_that_of_the_address_also_on_the_way_back(site: Site) -> None:
    page = site.open("/frames?category=Tips&state=all")
    for category in ("Powder", "Particles"):
        page.locator("select[name=category]").select_option(category)
        page.locator("#filter button").click()
        page.wait_for_url(f"**category={category}*")
        assert "state=all" in page.url, "a filter that has no field of its own stays"
    for category in ("Powder", "Tips"):
        page.go_back()
        page.wait_for_url(f"**category={category}*")
        playwright.expect(page.locator("select[name=category]")).to_have_value(category)


def test_who_comes_back_from_a_frame_finds_the_gallery_as_it_was(site: Site) -> None:
    before = _count(site.folder)
    site.simulate(65, 32)
    _until(lambda: _count(site.folder) == before + 65)
    page = site.open("/frames")
    page.get_by_role("button", name="Show more").click()
    tiles = page.locator("#tiles > li")
    playwright.expect(tiles).not_to_have_count(60)
    shown = tiles.count()
    last = tiles.last.locator("a")
    number = last.get_attribute("href")
    last.click()
    page.wait_for_url(f"**{number}")
    page.go_back()

    playwright.expect(tiles).to_have_count(shown)
    playwright.expect(page.locator(f"a[href='{number}']")).to_be_in_viewport()


def test_a_picture_is_enlarged_by_keys_and_its_scale_bar_stays_true(site: Site) -> None:
    page = site.open("/frames/1")
    document = page.evaluate("async () => (await fetch('/api/v1/frames/1')).json()")
    picture = page.locator("#picture")
    playwright.expect(picture).to_have_js_property("complete", True)

    def nm_per_pixel() -> float:
        label = page.locator("#bar-label").inner_text()
        number, unit = label.split()
        length_nm = float(number) * {"nm": 1, "µm": 1e3, "mm": 1e6}[unit]
        return length_nm / float(page.locator("#bar-line").evaluate("bar => bar.getBoundingClientRect().width"))

    def is_true() -> bool:
        acquired = float(picture.get_attribute("data-width"))
        width = float(picture.evaluate("picture => picture.getBoundingClientRect().width"))
        return nm_per_pixel() == pytest.approx(document["pixel_size_nm"] * acquired / width, rel=0.01)

    for key in ("", "+", "+", "-", "0"):
        if key:
            page.locator("#zoom").press(key)
        _until(is_true, 10)


def test_the_map_is_used_by_keyboard(site: Site) -> None:
    page = site.open("/map")
    page.wait_for_selector("#legend li")
    page.locator("#map").focus()
    page.keyboard.press("n")
    first = page.locator("#chosen a").inner_text()
    page.keyboard.press("+")
    page.keyboard.press("n")

    assert page.locator("#chosen a").inner_text() != first
    assert page.locator("#chosen img").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_url("**/frames/*")


def test_a_target_is_taught_by_clicking_and_then_hits(site: Site) -> None:
    def look_around(category: str, first: int, count: int) -> None:
        """Take frames of one specimen, each a little further."""
        pixels = draw_frame(category, 1, 900, 700).pixels
        for place in range(count):
            window = pixels[20 * place : 20 * place + 500, 40 * place : 40 * place + 640]
            Image.fromarray(window).save(site.frames / f"{category}_{first + place:04}.png")

    before = _count(site.folder)
    look_around("Particles", 1, 5)
    look_around("Films_Coated_Surface", 1, 3)
    _until(lambda: _count(site.folder) == before + 8)
    page = site.open("/frames?path=*.png")
    page.get_by_text("Teach a target").click()
    for item in page.locator("#tiles li").all():
        kind = "shows it" if "Particles" in item.locator(".pale").inner_text() else "does not"
        item.get_by_role("button", name=kind).click()
    name = "balls: 5 µm"  # must be quoted in YAML
    page.locator("#target-name").fill(name)
    page.get_by_role("button", name="Show what it would have found").click()
    page.wait_for_selector("#lesson .verdict", timeout=60_000)
    assert page.locator("#lesson .tile").count() >= 5
    assert not list(site.folder.glob("*targets*/*")), "nothing is kept yet"
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("#lesson :text('is saved, version 1')", timeout=60_000)
    [told] = yaml.safe_load(page.locator("#lesson code").inner_text())["targets"]
    assert told == {"name": name, "learned": name}
    page.get_by_role("button", name="Show what it would have found").click()
    page.wait_for_selector("#lesson .warn:has-text('its version 2')", timeout=60_000)

    site.configure(f"{{name: spheres, learned: '{name}'}}")
    site.daemon.send_signal(signal.SIGHUP)
    _until(lambda: "spheres" in site.read("/api/v1/targets"))
    live = site.open()
    playwright.expect(live.locator("[data-target=spheres]")).to_contain_text("not seen yet", timeout=30_000)
    look_around("Particles", 6, 1)
    playwright.expect(live.locator("[data-target=spheres]")).to_contain_text("seen", timeout=30_000)
    playwright.expect(live.locator("[data-target=spheres]")).to_contain_text("1 time", timeout=30_000)


def test_a_browser_on_another_machine_enters_the_token_and_works_with_the_page(site: Site) -> None:
    token = "a token of the laboratory"
    (site.folder / "token").write_text(token)
    (site.folder / "token").chmod(0o600)
    (site.folder / "guarded.yaml").write_text(
        "watch: {directory: frames}\nledger: {path: ledger.sqlite3}\n"
        "web: {host: 0.0.0.0, names: [sem-pc], token_file: token}\n"
    )
    command = [sys.executable, "-m", "emwatch", "serve", "--config", "guarded.yaml", "--port", "0"]
    serving = subprocess.Popen(command, cwd=site.folder, stderr=subprocess.PIPE, text=True)
    assert serving.stderr is not None
    port = serving.stderr.readline().partition("0.0.0.0:")[2].partition("/")[0]
    # Under a plain name browsers leave out what they send to 127.0.0.1.
    elsewhere = site.browser.browser_type.launch(
        executable_path=str(CHROMIUM), args=[*QUIET, "--host-resolver-rules=MAP sem-pc 127.0.0.1"]
    )
    try:
        page = elsewhere.new_page()
        page.goto(f"http://sem-pc:{port}/review")
        page.get_by_role("link", name="Enter the token").click()
        for entered in ("wrong", token):
            page.locator("input[name=token]").fill(entered)
            page.keyboard.press("Enter")
            page.wait_for_load_state()
        page.wait_for_selector("#shown .verdict")
        page.goto(f"http://sem-pc:{port}/")
        page.wait_for_selector("#last .verdict")
        page.goto(f"http://sem-pc:{port}/review?id=1")
        page.wait_for_selector("#shown .verdict")
        page.keyboard.press("u")
        playwright.expect(page.locator("#done li")).to_have_count(1)
    finally:
        elsewhere.close()
        serving.terminate()
        serving.wait(20)
        serving.stderr.close()
