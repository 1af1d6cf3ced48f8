"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def _reference_folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, REPOSITORY.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(
            f"needs real frames in {folder} (set {variable}); they are third-party material and not part of the project"
        )
    return folder


@pytest.fixture(name="real_frames", scope="session")
def _real_frames() -> Path:
    """Real SEM files of nine vendors with truth.tsv; the test is skipped where they are not on the machine."""
    return _reference_folder("EMWATCH_REAL_FRAMES", "frames")


@pytest.fixture(name="labelled_frames", scope="session")
def _labelled_frames() -> Path:
    """Real SEM frames in the ten categories with labels.tsv; the test is skipped where they are not on the machine."""
    return _reference_folder("EMWATCH_LABELLED_FRAMES", "labelled")
