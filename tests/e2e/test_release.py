"""A release by one command, in a clone of this checkout."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    checkout = tmp_path / "checkout"
    shutil.copytree(
        ROOT, checkout, ignore=shutil.ignore_patterns(".git", ".venv*", "build", "dist", "*_cache", "__pycache__")
    )
    git(checkout, "init", "-q")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "all: as it is")
    return checkout


def git(checkout: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    command = ["git", "-C", os.fspath(checkout), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, env=os.environ | who, capture_output=True, text=True, check=True).stdout


def release(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    named = {"GIT_CONFIG_COUNT": "2"}
    for number, name in enumerate(("user.name", "user.email")):
        named |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": "a@b"}
    command = [sys.executable, "packaging/release.py", *arguments]
    return subprocess.run(command, cwd=checkout, env=os.environ | named, capture_output=True, text=True, check=False)


def test_a_dry_run_makes_and_checks_every_file_and_commits_nothing(checkout: Path) -> None:
    for needed in ("twine", "check_wheel_contents", "cyclonedx_py", "build"):
        pytest.importorskip(needed, reason="needs the extra release")
    made = release(checkout, "9.8.7", "--dry-run")

    assert made.returncode == 0, made.stderr
    dist = checkout / "dist"
    assert {each.name for each in dist.iterdir()} == {
        "SHA256SUMS",
        "emwatch-9.8.7-py3-none-any.whl",
        "emwatch-9.8.7.cdx.json",
        "emwatch-9.8.7.tar.gz",
    }
    with zipfile.ZipFile(dist / "emwatch-9.8.7-py3-none-any.whl") as wheel:
        assert '__version__ = "9.8.7"' in wheel.read("emwatch/__init__.py").decode()
    with tarfile.open(dist / "emwatch-9.8.7.tar.gz") as source:
        changes = source.extractfile("emwatch-9.8.7/CHANGELOG.md")
        assert changes is not None
        assert b"## [Unreleased]\n\n## [9.8.7] - 20" in changes.read()
    parts = {
        each["name"].lower() for each in json.loads((dist / "emwatch-9.8.7.cdx.json").read_text("utf-8"))["components"]
    }
    assert {"emwatch", "numpy", "ai-edge-litert", "flask"} <= parts
    assert "pip" not in parts
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dist, check=False).returncode == 0
    assert (git(checkout, "log", "--format=%s"), git(checkout, "tag")) == ("all: as it is\n", "")


@pytest.mark.parametrize(
    ("version", "current", "changes", "tags", "why"),
    [
        ("1.2", "0.1.0", "- new", "", "1.2 is no version"),
        ("0.1.9", "0.2.0", "- new", "", "0.1.9 is not after 0.2.0"),
        ("0.2.0rc1", "0.2.0", "- new", "v0.1.0", "is not after"),
        ("0.2.0", "0.2.0", "- new", "v0.1.0", "is not after"),
        ("0.3.0", "0.2.0", "- new", "v0.2.0 v0.3.0", "there is a tag v0.3.0 already"),
        ("0.3.0", "0.2.0", "", "v0.2.0", "nothing under [Unreleased]"),
        ("0.3.0", "0.3.0rc2", "- new", "v0.3.0rc2", ""),
        ("0.10.0", "0.9.0", "- new", "v0.9.0", ""),
        ("0.1.0", "0.1.0", "- new", "", ""),
    ],
)
def test_what_cannot_be_released_is_refused_with_the_reason(
    version: str, current: str, changes: str, tags: str, why: str
) -> None:
    spec = importlib.util.spec_from_file_location("release", ROOT / "packaging/release.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    said = script.refusal(
        version, current, f"# Changelog\n\n## [Unreleased]\n\n{changes}\n\n## [0.0.1]\n\n- old\n", tags
    )

    assert why in said
    assert bool(said) == bool(why)


def test_a_checkout_with_changes_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "new").touch()
    command = [sys.executable, ROOT / "packaging/release.py", "9.8.7", "--dry-run"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (refused.returncode, "the checkout has changes" in refused.stderr) == (1, True)
