"""
Make a release: version, section of the changelog, sdist and wheel with their checks, list of parts (SBOM), commit and tag.

    python packaging/release.py VERSION [--dry-run] [--output dist]        # needs the extra `release`

All is done in a clone. Only when everything has passed does this checkout get the commit and the tag; with --dry-run it
never does. Nothing is uploaded: push the tag and upload the files when you have looked at them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
PROGRAM = re.compile(r'(?<=^__version__ = ")[^"]+(?="$)', re.MULTILINE)
UNRELEASED = "## [Unreleased]\n"


def run(*argv: str | Path, folder: Path | None = None) -> str:
    """Return what a program prints; ends this one, with what it said, if it fails."""
    ended = subprocess.run(
        [*map(os.fspath, argv)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ended.returncode:
        sys.exit(f"release: {' '.join(map(os.fspath, argv))}\n{ended.stdout}")
    return ended.stdout


def order(version: str) -> tuple[int, int, int, str]:
    """Return a key by which versions sort; a candidate comes before its release."""
    numbers, candidate = re.split(r"(?=[abr]|$)", version, maxsplit=1)
    first, second, third = map(int, numbers.split("."))
    return first, second, third, candidate or "~"


def refusal(version: str, current: str, changes: str, tags: str) -> str:
    """Return why a version cannot be released, "" if it can."""
    if VERSION.fullmatch(version) is None:
        return f"{version} is no version: expected 1.2.3 or 1.2.3rc1"
    if f"v{version}" in tags.split():
        return f"there is a tag v{version} already"
    # The first release has the version that the program has had from the start.
    if order(version) < order(current) or (version == current and tags.split()):
        return f"{version} is not after {current}"
    if not changes.partition(UNRELEASED)[2].partition("\n## ")[0].strip():
        return "CHANGELOG.md has nothing under [Unreleased]: write for the users what changed"
    return ""


def with_section(changes: str, version: str, day: str) -> str:
    """Return the changelog with what was unreleased under a version, and an empty [Unreleased] above it."""
    return changes.replace(UNRELEASED, f"{UNRELEASED}\n## [{version}] - {day}\n", 1)


def build(clone: Path, output: Path, version: str) -> None:
    """Build the files of a release into an empty folder, and check them."""
    python = sys.executable
    run(python, "-m", "build", "--outdir", output, clone)
    wheel, source = output / f"emwatch-{version}-py3-none-any.whl", output / f"emwatch-{version}.tar.gz"
    run(python, "-m", "twine", "check", "--strict", wheel, source)
    run(python, "-m", "check_wheel_contents", "--config", clone / "pyproject.toml", wheel)
    with tempfile.TemporaryDirectory() as folder:
        # What it consists of is what a fresh installation gets.
        run(python, "-m", "venv", folder)
        installed = Path(folder) / "bin" / "python"
        run(installed, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{wheel}[web]")
        run(installed, "-m", "emwatch", "model", "verify")
        run(installed, "-m", "pip", "uninstall", "-q", "-y", "pip", "setuptools")
        parts = output / f"emwatch-{version}.cdx.json"
        run(
            python, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", "-o", parts, installed
        )
    files = sorted(output.iterdir())
    sums = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in files]
    (output / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def main() -> None:
    """Make the release, or show that it could be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", metavar="VERSION")
    parser.add_argument("--dry-run", action="store_true", help="do everything but commit and tag")
    parser.add_argument("--output", type=Path, default=Path("dist"))
    options = parser.parse_args()
    checkout = Path(run("git", "rev-parse", "--show-toplevel").strip())
    if run("git", "status", "--porcelain", folder=checkout).strip():
        sys.exit("release: the checkout has changes: commit them, or put them away with git stash")
    with tempfile.TemporaryDirectory() as folder:
        clone, output = Path(folder) / "clone", Path(folder) / "dist"
        run("git", "clone", "-q", "--no-hardlinks", checkout, clone)
        program, changelog = clone / "emwatch" / "__init__.py", clone / "CHANGELOG.md"
        text, changes = (each.read_text(encoding="utf-8") for each in (program, changelog))
        found = PROGRAM.search(text)
        if reason := refusal(options.version, found[0] if found else "", changes, run("git", "tag", folder=clone)):
            sys.exit(f"release: {reason}")
        program.write_text(PROGRAM.sub(options.version, text), encoding="utf-8")
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        changelog.write_text(with_section(changes, options.version, day), encoding="utf-8")
        for name in ("user.name", "user.email"):
            run("git", "config", name, run("git", "config", name, folder=checkout).strip(), folder=clone)
        run("git", "commit", "-q", "-a", "-m", f"release: {options.version}", folder=clone)
        build(clone, output, options.version)
        shutil.copytree(output, options.output, dirs_exist_ok=True)
        if not options.dry_run:
            run("git", "pull", "-q", "--ff-only", clone, "HEAD", folder=checkout)
            run("git", "tag", "-a", f"v{options.version}", "-m", f"emwatch {options.version}", folder=checkout)
    for each in sorted(options.output.glob(f"*{options.version}*")):
        print(each)
    print("dry run: nothing is committed" if options.dry_run else f"committed and tagged v{options.version}")


if __name__ == "__main__":
    main()
