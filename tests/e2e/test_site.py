"""The documentation as a site: built without a warning, readable without a network, and the operator's card on one sheet."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("myst_parser", reason="needs the extra docs")
    site = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, ROOT / ".ci/build_site.py", "--output", site], capture_output=True, text=True, check=False
    )
    assert (built.returncode, built.stderr) == (0, "")  # a link that leads nowhere is a warning, and that an error
    return site


def test_every_page_is_there_and_asks_no_server_for_anything(site: Path) -> None:
    pages = {each.stem for each in (ROOT / "docs").glob("*.md")} | {"index", "changelog"}
    assert pages <= {each.stem for each in site.glob("*.html")}
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(?:https?:)?//[^"]+"', text) == [], page.name


def test_the_operators_card_is_one_sheet_of_paper(site: Path, tmp_path: Path) -> None:
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("needs chromium")
    printed = tmp_path / "card.pdf"
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    command += [f"--print-to-pdf={printed}", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run([*command, (site / "operator-card.html").as_uri()], capture_output=True, check=True, timeout=60)

    assert len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes())) == 1
