"""The table of real frames that taught the shipped head: what its card counts, and a dataset for who gathers them."""

from __future__ import annotations

import collections
import subprocess
import sys
from pathlib import Path
from typing import Any

from emwatch.classify.bundles.bundle import Bundle, default_directory
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import open_dataset


def test_the_table_of_the_shipped_heads_frames_is_a_dataset_with_the_cards_numbers() -> None:
    training: dict[str, Any] = Bundle.open(default_directory()).card["training"]
    frames = open_dataset(default_directory().parent / "default-frames.tsv")

    by_category = collections.Counter(CATEGORIES[frame.category] for frame in frames)
    by_source = collections.Counter((frame.source, frame.licence, frame.open_licence) for frame in frames)
    assert len(frames) == training["real_frames"]
    assert dict(by_category) == training["real_frames_by_category"]
    assert by_source == {
        (each["source"], each["licence"], each["open_licence"]): each["frames"] for each in training["sources"]
    }
    assert all(frame.may_teach for frame in frames)
    assert sum(frame.open_licence for frame in frames) == training["of_an_open_licence"]
    assert len({frame.path for frame in frames}) == len(frames)


def test_the_documentation_has_the_figures_of_the_shipped_card() -> None:
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, root / ".ci" / "write_figures.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
