"""
Build the documentation as a site that is read from files: no server, no network, and a search that works.

    python .ci/build_site.py [--output build/site]        # needs the extra `docs`

Every warning is an error, so every link inside the site resolves.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = {
    "Start": ("tutorial", "install", "setups", "makers"),
    "Every day": ("operator-card", "alerts", "page", "data-bar"),
    "Running it": ("service", "shares", "many-microscopes", "operations", "upgrade", "threat-model", "reliability"),
    "The model": ("model", "datasets", "training", "archives"),
    "Reference": ("cli", "configuration", "keys", "ledger", "metadata"),
    "Why, and since when": ("decisions/index", "changelog"),
}
SETTINGS = """\
project = "emwatch"
version = release = {version!r}
copyright = "Apache-2.0"
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "emwatch {version}"
html_static_path = ["_static"]
html_css_files = ["print.css"]
html_show_sphinx = False
html_copy_source = False
suppress_warnings = ["misc.highlighting_failure"]
"""
#: The operator's card must fit one sheet.
PRINT = """\
@media print {
  @page { size: A4; margin: 12mm 15mm }
  html { font-size: 75% }
  article h1 { font-size: 1.8em; margin: 0 0 .3em }
  article h2 { font-size: 1.25em; margin: .8em 0 .2em; break-after: avoid }
  article p, article div.highlight, article .table-wrapper { margin: .35em 0 }
  article div.highlight pre { padding: .35em .7em }
  table.docutils td, table.docutils th { padding: .2em .7em }
  .headerlink, .related-pages, footer, .content-icon-container, .toc-drawer, .copybtn { display: none !important }
}
"""


def write_pages(source: Path) -> None:
    """Gather the pages: docs/, the README as the first one, the changelog, and a list of the decisions."""
    shutil.copytree(ROOT / "docs", source)
    named = [name for names in CHAPTERS.values() for name in names]
    further = tuple(each.stem for each in sorted(source.glob("*.md")) if each.stem not in named)
    chapters = [toctree(caption, names) for caption, names in (CHAPTERS | {"Further": further}).items() if names]
    first = as_page(ROOT / "README.md")
    (source / "index.md").write_text("\n\n".join((first, *chapters)) + "\n", encoding="utf-8")
    (source / "changelog.md").write_text(as_page(ROOT / "CHANGELOG.md"), encoding="utf-8")
    names = [each.stem for each in sorted((source / "decisions").glob("*.md"))]
    listed = toctree("", names).replace(":hidden:\n", ":maxdepth: 1\n")
    (source / "decisions" / "index.md").write_text(f"# Why it is built as it is\n\n{listed}\n", encoding="utf-8")


def toctree(caption: str, names: tuple[str, ...] | list[str]) -> str:
    """Return a part of the navigation."""
    title = f":caption: {caption}\n" if caption else ""
    return "\n".join((f"```{{toctree}}\n:hidden:\n{title}", *names, "```"))


def as_page(file: Path) -> str:
    """Return a file of the checkout with its links as the site has them."""
    text = file.read_text(encoding="utf-8").replace("](docs/decisions)", "](decisions/index.md)")
    return re.sub(r"\]\(docs/", "](", text.replace("](CHANGELOG.md)", "](changelog.md)"))


def main() -> int:
    """Build it; returns the exit status of Sphinx."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site")
    options = parser.parse_args()
    version = re.search(r'__version__ = "(.+)"', (ROOT / "emwatch" / "__init__.py").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        source, settings = Path(folder) / "pages", Path(folder) / "settings"
        write_pages(source)
        (settings / "_static").mkdir(parents=True)
        (settings / "_static" / "print.css").write_text(PRINT, encoding="utf-8")
        (settings / "conf.py").write_text(SETTINGS.format(version=version and version[1]), encoding="utf-8")
        sphinx = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-E", "-j", "2"]
        command = [*sphinx, "-b", "html", "-c", settings, "-d", Path(folder) / "work", source, options.output]
        return subprocess.run(list(map(os.fspath, command)), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
