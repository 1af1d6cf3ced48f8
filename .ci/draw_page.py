"""
Draw the pictures of the local page that README and docs/page.md show, from frames of the pretend microscope.

    python .ci/draw_page.py [FOLDER]       # FOLDER: where the pictures go, else docs/

Needs the extras `web` and `browser`, and /usr/bin/chromium.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PROGRAM = [sys.executable, "-m", "emwatch"]
#: name, address, width and height of the window, dark, width of the picture that is kept
PICTURES = (
    ("page-laptop", "/", 1366, 768, False, 1000),
    ("page-wall", "/", 2560, 1440, True, 1280),
    ("page-phone", "/review", 390, 844, True, 390),
    ("page-map", "/map", 1366, 768, False, 1000),
    ("page-frame", "/frames/40", 1366, 768, False, 1000),
)
#: Enough for greys and a few colours; a picture of noise does not get smaller otherwise.
COLOURS = 96
SETTINGS = """\
watch: {directory: frames, data_bar: never}
ledger: {path: ledger.sqlite3}
web: {serve: true, port: 0}
targets:
  - {name: tilted nanowires, category: Nanowires, min_probability: 0.6}
  - {name: sharp tip, category: Tips, min_probability: 0.6}
  - {name: MEMS at high tilt, category: MEMS_devices_and_electrodes, stage_tilt_deg: {min: 60}}
"""


def address(folder: Path) -> str:
    """Wait until the page is served; returns where."""
    for _ in range(600):
        with suppress(OSError, KeyError, ValueError):
            found = json.loads((folder / "ledger.sqlite3.status.json").read_text())["page"]["address"]
            if found:
                return str(found).rstrip("/")
        time.sleep(0.1)
    raise SystemExit("the page is not served")


def settled(page: Page) -> None:
    """Wait until every picture in sight is there."""
    page.wait_for_load_state("load")
    page.wait_for_timeout(3000)
    page.wait_for_function(
        "[...document.images].every((each) => each.getBoundingClientRect().top > innerHeight || each.naturalWidth)"
    )
    page.wait_for_timeout(500)


def draw(site: str, out: Path) -> None:
    """Take all pictures."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        for name, path, width, height, dark, kept in PICTURES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                bypass_csp=True,  # Playwright's own functions are text that is evaluated
            )
            page = context.new_page()
            page.goto(site + path)
            settled(page)
            if path == "/map":
                page.locator("#map").press("n")
                settled(page)
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            shot = shot.resize((kept, round(kept * height / width)), Image.Resampling.LANCZOS)
            file = out / f"{name}.png"
            shot.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
            print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
            context.close()
        browser.close()


def main() -> None:
    """Run a daemon with its page on simulated frames and take the pictures."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "docs").absolute()
    with tempfile.TemporaryDirectory(prefix="sem-pc-") as home:
        folder = Path(home)
        (folder / "frames").mkdir()
        (folder / "lab.yaml").write_text(SETTINGS)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([*PROGRAM, "run", "--plain", "--config", "lab.yaml"], cwd=folder, **quiet) as daemon:
            try:
                site = address(folder)
                making = ["simulate", "--out", "frames", "--frames", "48", "--rate", "0", "--seed", "11"]
                subprocess.run([*PROGRAM, *making], cwd=folder, check=True, **quiet)
                time.sleep(8)
                draw(site, out)
            finally:
                daemon.terminate()
                daemon.wait(30)


if __name__ == "__main__":
    main()
